"""Kernels beside PyTorch on a small input, before they serve a chip.

Nobody has run every kernel on every chip, driver and compiler. So each step
of a norm is taken once by both, from the same input, and compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..layout import affine_view, statistics_view
from ..spec import Moments, NormSpec, Running
from ..stage import Parameters, Stage, StageInputs
from .backend import Backend, Fused
from .torch import BACKEND as PYTORCH

TOLERANCES = {
    torch.float32: 1e-3,
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
}
"""Of the largest value. What is wrong is wrong by more: these are far above
rounding, and far below a sum that lacks a part."""


def check(
    backend: Backend, spec: NormSpec, dtype: torch.dtype, device: torch.device
) -> tuple[str, float]:
    """Compare ``backend`` with PyTorch in float64.

    Args:
        backend: the kernels.
        spec: the norm.
        dtype: of the activations.
        device: where the kernels run.

    Returns:
        What is wrong, in words, empty for nothing, and the largest
        difference of any result, as a part of its largest value.
    """
    worst = 0.0
    with torch.no_grad():
        for x in _inputs(spec, dtype, device):
            try:
                for step, actual, expected in _steps(backend, spec, x):
                    difference = _difference(actual, expected)
                    worst = max(worst, difference)
                    if not difference <= TOLERANCES[dtype]:
                        return _of(step, difference), worst
            except Exception as error:  # whatever a compiler raises
                return str(error).strip().partition('\n')[0], worst
    return '', worst


def _of(step: str, difference: float) -> str:
    return (
        f'{step} differs from PyTorch by {difference:.1g} of the largest value'
    )


def _inputs(
    spec: NormSpec, dtype: torch.dtype, device: torch.device
) -> Iterator[Tensor]:
    """Yield three images of some groups, in both memory formats.

    On a GPU they are large enough for sums to be cut into chunks.
    """
    on_gpu = device.type == 'cuda'
    groups = 8 if on_gpu and spec.num_rows <= 4 else 2
    size = (32, 40) if on_gpu else (5, 7)
    x = 2 + _randn(3, groups * spec.num_rows, *size)
    x = x * torch.linspace(0.5, 2, x.shape[1]).view(1, -1, 1, 1)
    x = x.to(device, dtype)
    yield x
    yield x.contiguous(memory_format=torch.channels_last)


def _randn(*shape: int) -> Tensor:
    """Draw the same numbers every time.

    The global generator, which training draws from, stays untouched.
    """
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator)


def _steps(
    backend: Backend, spec: NormSpec, x: Tensor
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each step's name, result and expected result.

    Every step is fed with PyTorch's own results.
    """
    grad = torch.empty_like(x).copy_(_randn(*x.shape).flip(0))
    rows, entries, grads = (
        statistics_view(x, spec),
        affine_view(x, spec),
        affine_view(grad, spec),
    )
    sizes = (x.shape[1], x.shape[1], len(spec.stats), len(spec.stats))
    parameters = Parameters(*(_randn(n).to(x.device) for n in sizes))
    stage = Stage.of(spec, spec.stats, len(x), x.shape[1], parameters)
    shared = stage.samples == 1

    def step(name: str, *arguments: Any) -> tuple[str, Any, Any]:
        actual = getattr(backend, name)(*arguments)
        return name, actual, getattr(PYTORCH, name)(*_wide(arguments))

    def writing(name: str, *arguments: Any) -> tuple[str, Any, Any]:
        out = torch.empty_like(x), torch.empty_like(x, dtype=torch.float64)
        actual, expected = (affine_view(v, spec) for v in out)
        getattr(backend, name)(*arguments, actual)
        getattr(PYTORCH, name)(*_wide(arguments), expected)
        return name, actual, expected

    yield step('moments', rows, shared)
    sample, batch = PYTORCH.moments(rows, shared), None
    if shared:
        sample, batch = None, sample
    elif spec.uses_batch:
        yield step('merge_samples', sample)
        batch = PYTORCH.merge_samples(sample)
    inputs = StageInputs(sample, batch, parameters)
    yield step('transform', stage, inputs)
    A, b, _ = PYTORCH.transform(stage, inputs)
    yield writing('affine', entries, A, b)
    yield step('affine_gradients', grads, entries, shared)
    dA, db = PYTORCH.affine_gradients(grads, entries, shared)
    name, actual, expected = step('transform_backward', stage, inputs, dA, db)
    yield name, _symmetric(actual), _symmetric(expected)
    yield writing('input_gradient', grads, entries, A, A, b)
    plan: Any = _Plan(stage, spec.uses_batch)
    norm = backend.fuse(plan, x.shape) if backend.fuse else None
    if norm is not None and norm.serves(x, parameters, None):
        yield from _whole(norm, plan, x, grad, inputs)


class _Plan(NamedTuple):
    """As much of a plan as a norm in one needs."""

    stage: Stage
    batch_training: bool

    @property
    def spec(self) -> NormSpec:
        return self.stage.spec


def _whole(
    norm: Fused, plan: _Plan, x: Tensor, grad: Tensor, inputs: StageInputs
) -> Iterator[tuple[str, Any, Any]]:
    """Yield what a norm in one call gives, forward and backward.

    Args:
        norm: the norm, in training.
        plan: of it.
        x: the input.
        grad: gradient of the output.
        inputs: moments of x, and parameters, for what is expected.
    """
    spec, stage, parameters = plan.spec, plan.stage, inputs.parameters
    running = _running(stage, x)
    tracked = Running(*_wide(tuple(running))) if running else None
    y, state = norm.forward(x, parameters, running, 0.25)
    inputs = _wide(inputs)
    wide, wide_grad = x.double(), grad.double()
    rows, grads = (affine_view(v, spec) for v in (wide, wide_grad))
    A, b, W = PYTORCH.transform(stage, inputs)
    out, dx = torch.empty_like(wide), torch.empty_like(wide)
    PYTORCH.affine(rows, A, b, affine_view(out, spec))
    yield 'forward', y, out
    if running and tracked:
        assert inputs.batch is not None  # what is tracked
        mean, cov = inputs.batch
        kept = W if spec.running == 'matrix' else cov
        PYTORCH.update_running(tracked, Moments(mean, kept), 0.25)
        yield 'running statistics', tuple(running), tuple(tracked)
    dA, db = PYTORCH.affine_gradients(grads, rows, stage.samples != len(x))
    A, found = PYTORCH.transform_backward(stage, inputs, dA, db)
    size = x[0].numel() // (stage.groups * stage.rows)
    B = d = torch.zeros((), dtype=wide.dtype, device=x.device)
    for moments, gradient, count in zip(
        inputs[:2], found[:2], (size, len(x) * size)
    ):
        if moments is not None:
            pair = PYTORCH.moments_backward(moments, gradient, count)
            B, d = B + pair[0], d + pair[1]
    PYTORCH.input_gradient(grads, rows, A, B, d, affine_view(dx, spec))
    actual, gradients = norm.backward(grad, x, parameters, None, state, True)
    yield 'backward', (actual, gradients), (dx, found.parameters)


def _running(stage: Stage, x: Tensor) -> Running | None:
    """Return running statistics, where the norm has some."""
    if not stage.spec.uses_batch:
        return None
    groups, rows = stage.groups, stage.rows
    mean = torch.zeros(groups * rows, device=x.device)
    cov = torch.eye(rows, device=x.device).repeat(groups, 1, 1)
    count = torch.zeros((), dtype=torch.long, device=x.device)
    return Running(mean, cov, count)


def _symmetric(result: tuple[Tensor, StageInputs]) -> list[Any]:
    """Keep only the symmetric part of the gradients of covariances."""
    A, gradients = result
    moments = [m for m in gradients[:2] if m is not None]
    return [A, gradients.parameters] + [
        (mean, cov + cov.mT) for mean, cov in moments
    ]


def _wide(values: Any) -> Any:
    """Convert tensors to float64, however nested they are."""
    if isinstance(values, Tensor):
        return values.double()
    if not isinstance(values, tuple):
        return values
    wide = [_wide(value) for value in values]
    return type(values)(*wide) if hasattr(values, '_fields') else tuple(wide)


def _difference(actual: Any, expected: Any) -> float:
    """Return the largest error, relative to its tensor's largest value."""
    if expected is None:
        return 0.0
    if isinstance(expected, Tensor):
        expected = expected.expand_as(actual)
        scale = expected.abs().max().clamp(min=1e-3)
        difference = (actual.double() - expected).abs().max() / scale
        return difference.nan_to_num(math.inf).item()
    return max(_difference(*pair) for pair in zip(actual, expected))
