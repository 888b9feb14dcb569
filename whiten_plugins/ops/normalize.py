"""The one function behind every norm of the family.

The input is the one activation that is kept from forward to backward.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor
from torch.autograd import Function

from . import operators, steps
from .distributed import Sync, world_size
from .export import is_transformed, traceable_norm, transformable_norm
from .plan import active_stats, plan_for
from .spec import Moments, NormSpec, Running
from .stage import Parameters, StageInputs
from .steps import Call


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
        y, statistics, _ = steps.forward(
            input, Parameters(*parameters), call, running
        )
        if anchor is not None and not statistics.wanting:
            ctx.mark_non_differentiable(y)
        ctx.call, ctx.total = call, statistics.total
        nothing = (None, None)
        ctx.save_for_backward(
            input,
            *parameters,
            *(statistics.sample or nothing),
            *(statistics.batch or nothing),
        )
        return y

    @staticmethod
    def backward(ctx, grad):
        dx, *others = _first_derivative(_Normalize._gradients, ctx, grad)
        return dx, None, None, None, *others

    @staticmethod
    def _gradients(ctx, grad):
        input, *saved = ctx.saved_tensors
        parameters, moments = Parameters(*saved[:4]), saved[4:]
        inputs = StageInputs(
            None if moments[0] is None else Moments(*moments[:2]),
            None if moments[2] is None else Moments(*moments[2:]),
            parameters,
        )
        dx, d_parameters = steps.backward(
            grad, input, inputs, ctx.call, ctx.total, ctx.needs_input_grad[0]
        )
        return dx, *d_parameters


class _Fused(Function):
    """Normalize in one call of the backend, like the backward."""

    @staticmethod
    def forward(ctx, x, fused, running, momentum, *parameters):
        parameters = Parameters(*parameters)
        y, state = fused.forward(x, parameters, running, momentum)
        ctx.fused = fused
        buffers = running if fused.reads_running else ()
        ctx.save_for_backward(x, *parameters, state, *buffers)
        return y

    @staticmethod
    def backward(ctx, grad):
        dx, *others = _first_derivative(_Fused._gradients, ctx, grad)
        return dx, None, None, None, *others

    @staticmethod
    def _gradients(ctx, grad):
        x, *saved = ctx.saved_tensors
        parameters, (state, *buffers) = Parameters(*saved[:4]), saved[4:]
        running = Running(*buffers) if buffers else None
        dx, d_parameters = ctx.fused.backward(
            grad, x, parameters, running, state, ctx.needs_input_grad[0]
        )
        return dx, *d_parameters


def _first_derivative(gradients, ctx, grad):
    """Return gradients that cannot be differentiated once more."""
    if not torch.is_grad_enabled():
        return gradients(ctx, grad)
    with torch.no_grad():
        found = gradients(ctx, grad)
    sources = (grad, *ctx.saved_tensors[:5])
    return [
        g if g is None else _OnlyFirstDerivative.apply(g, *sources)
        for g in found
    ]


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
    processes = world_size(sync.group) if sync else 1
    run = _run
    if _is_compiled():
        if processes == 1 and operators.AVAILABLE:
            return operators.whitening_norm(
                x, parameters, spec, running, training, momentum
            )
        run = torch.compiler.disable(_run)
    return run(
        x, parameters, spec, running, training, momentum, sync, processes
    )


def _is_compiled() -> bool:
    """Return whether ``torch.compile`` may be tracing this."""
    if hasattr(torch.compiler, 'is_compiling'):  # since torch 2.3
        return torch.compiler.is_compiling()
    return 'torch._dynamo' in sys.modules


def _run(
    x: Tensor,
    parameters: Parameters,
    spec: NormSpec,
    running: Running | None,
    training: bool,
    momentum: float | None,
    sync: Sync | None,
    processes: int,
) -> Tensor:
    if is_transformed():
        return _run_transformed(
            x, parameters, spec, running, training, momentum, processes
        )
    sync = sync if processes > 1 else None
    plan = plan_for(x, parameters, spec, training, processes)
    if plan.fused is not None and plan.fused.serves(x, parameters, running):
        return _Fused.apply(x, plan.fused, running, momentum, *parameters)
    wants_gradient = torch.is_grad_enabled() and any(
        v is not None and v.requires_grad for v in (x, *parameters)
    )
    call = Call(plan, momentum, sync, wants_gradient)
    anchor = None
    if sync and plan.batch_training and torch.is_grad_enabled():
        anchor = None if wants_gradient else x.new_empty(0).requires_grad_()
    return _Normalize.apply(x, call, running, anchor, *parameters)


def _run_transformed(
    x: Tensor,
    parameters: Parameters,
    spec: NormSpec,
    running: Running | None,
    training: bool,
    momentum: float | None,
    processes: int,
) -> Tensor:
    """Run under a transform of :mod:`torch.func`."""
    active, batch_training = active_stats(x.shape, spec, training, processes)
    if not batch_training or running is None:
        return traceable_norm(x, parameters, spec, running)
    if processes > 1:
        raise RuntimeError(
            'torch.func cannot transform norms that share statistics '
            f'between {processes} processes; use the norms without Sync'
        )
    return transformable_norm(x, parameters, spec, active, running, momentum)
