"""Kernels beside PyTorch on a small input, before they serve a chip.

Nobody has run every kernel on every chip, driver and compiler. So each step
of a norm is taken once by both, from the same input, and compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..layout import affine_view, statistics_view
from ..spec import NormSpec
from ..stage import Parameters, Stage, StageInputs
from .backend import Backend
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
