"""The norms as operators of :mod:`torch.library`, for ``torch.compile``.

A compiler keeps a network whole where it knows of each call what goes in and
what comes out. So a norm is one operator forward and one backward, whose
insides it does not look at; the running statistics are updated outside, in
plain operators. Without a compiler nobody calls these: an operator takes more
of Python's time than the autograd Function in :mod:`.normalize`.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from .backends.torch.activations import compute_dtype
from .backends.torch.statistics import update_running
from .layout import dense
from .plan import Plan, active_stats, plan_for
from .spec import Moments, NormSpec, Running
from .stage import Parameters, Stage, StageInputs
from .steps import Call, backward, forward, running_moments

AVAILABLE = hasattr(torch.library, 'custom_op')
"""Since torch 2.4. Before, a compiled network is cut at every norm."""

_TENSORS = (
    'Tensor? weight, Tensor? bias, Tensor? mean_logits, Tensor? cov_logits, '
    'Tensor? running_mean, Tensor? running_cov'
)
_SETTINGS = (
    'str stats, int num_rows, bool across_groups, str whitening, int T, '
    'float eps, bool hard, str running, bool training'
)


def whitening_norm(
    x: Tensor,
    parameters: Parameters,
    spec: NormSpec,
    running: Running | None,
    training: bool,
    momentum: float | None,
) -> Tensor:
    """Compute :func:`~.normalize.whitening_norm` where a compiler looks on."""
    _, batch_training = active_stats(x.shape, spec, training)
    buffers: tuple[Tensor | None, ...] = (None, None)
    if running is not None and not batch_training:
        buffers = running[:2]
    y, _, mean, kept = torch.ops.whiten_plugins.normalize(
        x,
        *parameters,
        *buffers,
        ','.join(spec.stats),
        spec.num_rows,
        spec.across_groups,
        spec.whitening,
        spec.T,
        spec.eps,
        spec.hard,
        spec.running,
        training,
    )
    if batch_training and running is not None:
        batch = Moments(mean.detach(), kept.detach())
        update_running(running, batch, momentum)
    return y


@functools.cache
def _spec(stats: str, *settings) -> NormSpec:
    return NormSpec(tuple(stats.split(',')), *settings)


def _normalize(x: Tensor, *arguments) -> tuple[Tensor, ...]:
    """Return the output, what backward needs, and what is tracked.

    These are one tensor of the moments that were taken from ``x``, and of
    the batch the mean and what is kept beside it; empty in evaluation.
    """
    parameters, running, spec, training = _read(arguments)
    plan = plan_for(x, parameters, spec, training)
    if plan.fused is not None and plan.fused.serves(x, parameters, running):
        return _fused(x, plan, parameters, running)
    y, (sample, batch, _, _), W = forward(x, parameters, Call(plan), running)
    empty = x.new_empty(0, dtype=compute_dtype(x))
    taken = [v.flatten() for v in sample or ()]
    mean = kept = empty
    if plan.batch_training:
        assert batch is not None  # it was just taken
        taken += [v.flatten() for v in batch]
        mean, kept = batch[0], W if spec.running == 'matrix' else batch[1]
    state = torch.cat(taken) if taken else empty.clone()
    return y, state, mean.clone(), kept.clone()


def _fused(
    x: Tensor, plan: Plan, parameters: Parameters, running: Running | None
) -> tuple[Tensor, ...]:
    """Return what :func:`_normalize` does, by all steps in one."""
    assert plan.fused is not None  # else there are the steps
    stage, kept = plan.stage, None
    empty = x.new_empty(0, dtype=compute_dtype(x))
    if plan.batch_training:
        kept = empty.new_empty(1, stage.groups, stage.rows, stage.rows)
    y, state = plan.fused.forward(x, parameters, running, None, kept)
    if kept is None:
        return y, state, empty, empty.clone()
    _, batch = plan.stage.split_moments(state, plan.batch_training)
    assert batch is not None  # of a batch in training
    return y, state, batch.mean.clone(), kept


def _normalize_fake(x: Tensor, *arguments) -> tuple[Tensor, ...]:
    """Return empty tensors of the shapes that :func:`_normalize` returns."""
    parameters, _, spec, training = _read(arguments)
    active, batch_training = active_stats(x.shape, spec, training)
    stage = Stage.of(spec, active, x.shape[0], x.shape[1], parameters)
    groups, rows = stage.groups, stage.rows
    state = x.new_empty(
        sum(stage.sizes_of_moments(batch_training)), dtype=compute_dtype(x)
    )
    mean, kept = state.new_empty(0), state.new_empty(0)
    if batch_training:
        mean = state.new_empty(1, groups, rows)
        kept = state.new_empty(1, groups, rows, rows)
    return torch.empty_like(dense(x)), state, mean, kept


def _gradients(
    grad: Tensor, x: Tensor, state: Tensor, wants_input: bool, *arguments
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the input and, in one, of the parameters."""
    parameters, running, spec, training = _read(arguments)
    plan = plan_for(x, parameters, spec, training)
    if plan.fused is not None and plan.fused.serves(x, parameters, running):
        found = plan.fused.backward(
            grad, x, parameters, running, state, wants_input
        )
        return _joined(*found, x.new_empty(0))
    sample, batch = plan.stage.split_moments(state, plan.batch_training)
    if batch is None and spec.uses_batch:
        batch = running_moments(x, plan, running)
    total = x.numel() // x.shape[1] if plan.batch_training else 0
    dx, gradients = backward(
        grad,
        x,
        StageInputs(sample, batch, parameters),
        Call(plan),
        total,
        wants_input,
    )
    return _joined(dx, gradients, x.new_empty(0))


def _joined(
    dx: Tensor | None, gradients: Parameters, empty: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradient of the input, and in one those of parameters."""
    dtype = compute_dtype(empty)
    flat = [v.flatten().to(dtype) for v in gradients if v is not None]
    return (
        empty if dx is None else dx,
        torch.cat(flat) if flat else empty.new_empty(0, dtype=dtype),
    )


def _gradients_fake(
    grad: Tensor, x: Tensor, state: Tensor, wants_input: bool, *arguments
) -> tuple[Tensor, Tensor]:
    parameters = Parameters(*arguments[:4])
    size = sum(v.numel() for v in parameters if v is not None)
    return (
        torch.empty_like(dense(x)) if wants_input else x.new_empty(0),
        x.new_empty(size, dtype=compute_dtype(x)),
    )


def _read(
    arguments: tuple,
) -> tuple[Parameters, Running | None, NormSpec, bool]:
    """Return parameters, running statistics, the norm, and the mode."""
    *tensors, mean, cov = arguments[:6]
    *settings, training = arguments[6:]
    running = None if mean is None else Running(mean, cov)
    return Parameters(*tensors), running, _spec(*settings), training


def _setup_context(ctx, inputs: tuple, output: tuple) -> None:
    x, tensors, ctx.settings = inputs[0], inputs[1:7], inputs[7:]
    _, state, mean, kept = output
    ctx.mark_non_differentiable(state, mean, kept)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, state, *tensors)


def _backward(ctx, grad: Tensor | None, *others) -> tuple:
    x, state, *tensors = ctx.saved_tensors
    nothing = [None] * (2 + len(ctx.settings))
    if grad is None:
        return None, None, None, None, None, *nothing
    wants_input = ctx.needs_input_grad[0]
    dx, flat = torch.ops.whiten_plugins.normalize_backward(
        grad, x, state, wants_input, *tensors, *ctx.settings
    )
    parameters = tensors[:4]
    sizes = [0 if v is None else v.numel() for v in parameters]
    found = [
        None if v is None else part.view_as(v).to(v.dtype)
        for v, part in zip(parameters, flat.split(sizes))
    ]
    return dx if wants_input else None, *found, *nothing


def _register() -> None:
    normalize = torch.library.custom_op(
        'whiten_plugins::normalize',
        _normalize,
        mutates_args=(),
        schema=f'(Tensor x, {_TENSORS}, {_SETTINGS}) '
        '-> (Tensor, Tensor, Tensor, Tensor)',
    )
    normalize.register_fake(_normalize_fake)
    normalize.register_autograd(_backward, setup_context=_setup_context)
    gradients = torch.library.custom_op(
        'whiten_plugins::normalize_backward',
        _gradients,
        mutates_args=(),
        schema=f'(Tensor grad, Tensor x, Tensor state, bool wants_input, '
        f'{_TENSORS}, {_SETTINGS}) -> (Tensor, Tensor)',
    )
    gradients.register_fake(_gradients_fake)


if AVAILABLE:
    _register()
