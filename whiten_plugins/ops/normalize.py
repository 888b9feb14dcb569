"""The one function behind every norm of the family.

Forward is one pass for the statistics and one for y = A x + b; backward is
one pass for the gradients of A and b and one for that of the input. Between
them are small matrices only, and the input is the one activation kept.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function

from .backends import Backend, backend_for
from .backends.torch.activations import compute_dtype
from .distributed import (
    all_reduce_gradients,
    all_reduce_moments,
    world_size,
)
from .evaluation import evaluating
from .export import is_transformed, traceable_norm, transformable_norm
from .layout import affine_view, dense, statistics_view
from .precision import full_float32
from .spec import BATCH_STATS, Moments, NormSpec, Running
from .stage import Parameters, Stage, StageInputs


class Sync(NamedTuple):
    """Share batch statistics over ``group``, None for the default one."""

    group: dist.ProcessGroup | None


class _Call(NamedTuple):
    """What forward and backward agree on besides tensors."""

    backend: Backend
    stage: Stage
    batch_training: bool
    momentum: float | None
    sync: Sync | None
    wants_gradient: bool


def _active_stats(
    x: Tensor, spec: NormSpec, batch_training: bool, processes: int
) -> tuple[str, ...]:
    """Return the statistics that more than one element defines."""
    if x.numel() == 0:
        return spec.stats
    rows = spec.num_rows if spec.across_groups else x.shape[1]
    size = x[0].numel()
    in_sample = size > rows
    in_batch = not batch_training or x.numel() > rows or processes > 1
    defined = {
        'in': in_sample,
        'iw': in_sample,
        'ln': size > 1,
        'bn': in_batch,
        'bw': in_batch,
    }
    active = tuple(name for name in spec.stats if defined[name])
    if not active:
        batch = 'a larger batch, Sync statistics over several processes, '
        raise ValueError(
            'Expected more than 1 value per channel for '
            f'{", ".join(spec.stats)} statistics, got input size '
            f'{tuple(x.shape)}: use {batch if spec.uses_batch else ""}'
            'a larger map, or a norm with ln among its statistics'
        )
    return active


@contextmanager
def _full_precision(x: Tensor) -> Iterator[None]:
    """Switch off autocast and tf32 for what is computed from ``x``."""
    device = x.device.type
    with torch.autocast(device, enabled=False), full_float32(device):
        yield


class _Statistics(NamedTuple):
    """Moments where the norm reads them: of the samples, and of the batch.

    ``total`` is the number of elements behind a row of the batch, ``wanting``
    the number of processes that want a gradient.
    """

    sample: Moments | None
    batch: Moments | None
    total: Tensor | int
    wanting: Tensor | int


def _statistics(
    x: Tensor, call: _Call, running: Running | None
) -> _Statistics:
    spec, backend = call.stage.spec, call.backend
    rows = statistics_view(x, spec)
    sample = backend.moments(rows) if spec.uses_samples else None
    if not call.batch_training:
        batch = None
        if spec.uses_batch:
            assert running is not None  # with batch statistics it is there
            batch = running.moments(spec.num_rows, compute_dtype(x))
        return _Statistics(sample, batch, 0, 1)
    if sample is None:
        batch = backend.moments(rows, len(rows) != 1)
    else:
        batch = backend.merge_samples(sample)
    elements = len(rows) * rows.shape[-1]
    if not call.sync:
        return _Statistics(sample, batch, elements, 1)
    batch, total, wanting = all_reduce_moments(
        batch, elements, call.wants_gradient, call.sync.group
    )
    return _Statistics(sample, batch, total, wanting)


def _track(
    running: Running, statistics: _Statistics, W: Tensor, call: _Call
) -> None:
    """Update the running statistics."""
    assert statistics.batch is not None  # of a batch in training
    mean, cov = statistics.batch
    if isinstance(statistics.total, Tensor):  # no process may have an element
        mean = torch.where(statistics.total > 0, mean, torch.nan)
    kept = W if call.stage.spec.running == 'matrix' else cov
    call.backend.update_running(running, Moments(mean, kept), call.momentum)


def _through_moments(
    inputs: StageInputs,
    gradients: StageInputs,
    size: int,
    total: Tensor | int,
    call: _Call,
) -> tuple[Tensor | None, Tensor | None]:
    """Return B, d of B x + d, what reaches the input through its moments.

    Summed over the moments that were taken from the input.

    Args:
        inputs: moments of each sample, over ``size`` elements a row, and of
            the batch, over ``total``.
        gradients: of both; those of the batch from this process alone.
        size: see above.
        total: see above.
        call: as in the forward.
    """
    paths: list[tuple[Moments, Moments, Tensor | int]] = []
    if inputs.sample and gradients.sample:
        paths.append((inputs.sample, gradients.sample, size))
    if call.batch_training and inputs.batch and gradients.batch:
        from_batch = gradients.batch
        if call.sync:
            from_batch = all_reduce_gradients(from_batch, call.sync.group)
        paths.append((inputs.batch, from_batch, total))
    B = d = None
    for moments, gradient, count in paths:
        slope, shift = call.backend.moments_backward(moments, gradient, count)
        B, d = (slope, shift) if B is None else (B + slope, d + shift)
    return B, d


class _OnlyFirstDerivative(Function):
    """A gradient as it is; asking for its own gradient is an error."""

    @staticmethod
    def forward(ctx, gradient, *sources):
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError(
            'the norms of whiten_plugins have no second derivative: a loss '
            'cannot contain gradients that were taken through them'
        )


class _Normalize(Function):
    """Normalize, with a backward pass of its own.

    ``anchor`` is an empty leaf where nothing here needs a gradient, but
    another process may: then this one has to take part in its backward.
    """

    @staticmethod
    def forward(ctx, input, call, running, anchor, *parameters):
        x, spec = dense(input), call.stage.spec
        with _full_precision(x):
            statistics = _statistics(x, call, running)
            sample, batch, total, wanting = statistics
            inputs = StageInputs(sample, batch, Parameters(*parameters))
            A, b, W = call.backend.transform(call.stage, inputs)
            if call.batch_training:
                _track(running, statistics, W, call)
            y = torch.empty_like(x)
            rows_of_x, rows_of_y = (affine_view(v, spec) for v in (x, y))
            call.backend.affine(rows_of_x, A, b, rows_of_y)
        if anchor is not None and not wanting:
            ctx.mark_non_differentiable(y)
        ctx.call, ctx.total = call, total
        nothing = (None, None)
        ctx.save_for_backward(
            input, *parameters, *(sample or nothing), *(batch or nothing)
        )
        return y

    @staticmethod
    def backward(ctx, grad):
        with torch.no_grad():
            gradients = _Normalize._gradients(ctx, grad)
        if torch.is_grad_enabled():
            sources = (grad, *ctx.saved_tensors[:5])
            gradients = [
                g if g is None else _OnlyFirstDerivative.apply(g, *sources)
                for g in gradients
            ]
        dx, *others = gradients
        return dx, None, None, None, *others

    @staticmethod
    def _gradients(ctx, grad):
        call, backend = ctx.call, ctx.call.backend
        input, *saved = ctx.saved_tensors
        parameters, moments = Parameters(*saved[:4]), saved[4:]
        x, spec = dense(input), call.stage.spec
        inputs = StageInputs(
            None if moments[0] is None else Moments(*moments[:2]),
            None if moments[2] is None else Moments(*moments[2:]),
            parameters,
        )
        with _full_precision(x):
            rows_of_x = affine_view(x, spec)
            rows_of_grad = affine_view(dense(grad), spec)
            dA, db = backend.affine_gradients(
                rows_of_grad, rows_of_x, call.stage.samples != len(x)
            )
            A, gradients = backend.transform_backward(
                call.stage, inputs, dA, db
            )
            elements = rows_of_x.shape[1] * rows_of_x.shape[3]
            size = elements // call.stage.groups
            B, d = _through_moments(inputs, gradients, size, ctx.total, call)
            dx = None
            if ctx.needs_input_grad[0]:
                dx = torch.empty_like(x)
                rows_of_dx = affine_view(dx, spec)
                backend.input_gradient(
                    rows_of_grad, rows_of_x, A, B, d, rows_of_dx
                )
        return dx, *gradients.parameters


_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def _wrong_dtype(dtype: torch.dtype) -> str:
    remedy = 'convert it with x.float()'
    if dtype.is_complex:
        remedy = 'normalize x.real and x.imag, or x.abs()'
    names = ', '.join(str(known).removeprefix('torch.') for known in _DTYPES)
    return f'expected input of dtype {names}, got {dtype}: {remedy}'


def _is_exported() -> bool:
    """Return whether a tracer records calls, to run them elsewhere."""
    if torch.jit.is_tracing():
        return True
    # Before torch 2.7 there is torch.jit's tracer alone.
    return getattr(torch.compiler, 'is_exporting', bool)()


def _never_compiled(function: Callable) -> Callable:
    """Apply ``torch.compiler.disable`` once the compiler is imported.

    That function imports the compiler, which takes seconds: they are spent
    here only where something else has imported it.
    """

    @functools.cache
    def disabled() -> Callable:
        return torch.compiler.disable(function)

    @functools.wraps(function)
    def wrapper(*args):
        if 'torch._dynamo' in sys.modules:
            return disabled()(*args)
        return function(*args)

    return wrapper


def whitening_norm(
    x: Tensor,
    parameters: Parameters,
    spec: NormSpec,
    running: Running | None = None,
    training: bool = True,
    momentum: float | None = 0.1,
    sync: Sync | None = None,
) -> Tensor:
    r"""Normalize or whiten ``x`` by mixed statistics.

    .. math::
        y_n = \gamma\, \hat\Sigma_n^{-1/2} (x_n - \hat\mu_n) + \beta

    with the mixture of :func:`.mixture.mix` (SW algorithm 1; SN eq. 3 and GW
    eq. 8–10 are its special cases). First derivatives are exact; asking for
    a second one raises an error.

    Args:
        x: (N, C, \*), any floating dtype and memory format.
        parameters: weight, bias and ratio logits.
        spec: the norm.
        running: running statistics, where ``spec`` has batch statistics;
            updated in place in training, read otherwise.
        training: take batch statistics from ``x``.
        momentum: weight of this batch in the running statistics; None for
            the mean over all batches that gave statistics.
        sync: share batch statistics over processes; None for this process
            alone.

    Returns:
        (N, C, \*), dtype and memory format of ``x``. An empty ``x`` gives an
        empty result and leaves ``running`` as it is.

    Raises:
        TypeError: if ``x`` is not of a floating dtype.
        ValueError: if every statistic would be taken over one element.
    """
    if x.dtype not in _DTYPES:
        raise TypeError(_wrong_dtype(x.dtype))
    if _is_exported() and not (training and spec.uses_batch):
        return traceable_norm(x, parameters, spec, running)
    return _run(x, parameters, spec, running, training, momentum, sync)


@_never_compiled
def _run(
    x: Tensor,
    parameters: Parameters,
    spec: NormSpec,
    running: Running | None,
    training: bool,
    momentum: float | None,
    sync: Sync | None,
) -> Tensor:
    processes = world_size(sync.group) if sync else 1
    sync = sync if processes > 1 else None
    batch_training = training and (x.numel() > 0 or sync is not None)
    active = _active_stats(x, spec, batch_training, processes)
    batch_training &= any(name in BATCH_STATS for name in active)
    if is_transformed():
        if not batch_training or running is None:
            return traceable_norm(x, parameters, spec, running)
        if sync:
            raise RuntimeError(
                'torch.func cannot transform norms that share statistics '
                f'between {processes} processes; use the norms without Sync'
            )
        return transformable_norm(
            x, parameters, spec, active, running, momentum
        )
    backend = backend_for(x, spec)
    if not batch_training:
        backend = evaluating(backend, spec)
    stage = Stage.of(spec, active, len(x), x.shape[1], parameters)
    wants_gradient = torch.is_grad_enabled() and any(
        v is not None and v.requires_grad for v in (x, *parameters)
    )
    call = _Call(
        backend, stage, batch_training, momentum, sync, wants_gradient
    )
    anchor = None
    if sync and batch_training and torch.is_grad_enabled():
        anchor = None if wants_gradient else x.new_empty(0).requires_grad_()
    return _Normalize.apply(x, call, running, anchor, *parameters)
