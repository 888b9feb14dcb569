"""Forward and backward of a norm, step by step.

Forward is one pass for the statistics and one for y = A x + b; backward is
one pass for the gradients of A and b and one for that of the input. Between
them are small matrices only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from .backends.torch.activations import compute_dtype
from .distributed import Sync, all_reduce_gradients, all_reduce_moments
from .layout import affine_view, dense, statistics_view
from .plan import Plan
from .precision import full_float32
from .spec import Moments, Running
from .stage import Parameters, StageInputs


class Call(NamedTuple):
    """A plan, and what may differ between calls that follow it."""

    plan: Plan
    momentum: float | None = None
    sync: Sync | None = None
    wants_gradient: bool = True


class Statistics(NamedTuple):
    """Moments where the norm reads them: of the samples, and of the batch.

    ``total`` is the number of elements behind a row of the batch, ``wanting``
    the number of processes that want a gradient.
    """

    sample: Moments | None
    batch: Moments | None
    total: Tensor | int
    wanting: Tensor | int = 1


@contextmanager
def _full_precision(x: Tensor) -> Iterator[None]:
    """Switch off autocast and tf32 for what is computed from ``x``."""
    device = x.device.type
    with torch.autocast(device, enabled=False), full_float32(device):
        yield


def running_moments(x: Tensor, plan: Plan, running: Running | None) -> Moments:
    """Return the running statistics as those of the batch."""
    assert running is not None  # with batch statistics it is there
    return running.moments(plan.spec.num_rows, compute_dtype(x))


def _statistics(x: Tensor, call: Call, running: Running | None) -> Statistics:
    plan = call.plan
    spec, backend = plan.spec, plan.backend
    rows = statistics_view(x, spec)
    sample = backend.moments(rows) if plan.stage.uses_samples else None
    if not plan.batch_training:
        batch = None
        if spec.uses_batch:
            batch = running_moments(x, plan, running)
        return Statistics(sample, batch, 0)
    if sample is None:
        batch = backend.moments(rows, len(rows) != 1)
    else:
        batch = backend.merge_samples(sample)
    elements = len(rows) * rows.shape[-1]
    if not call.sync:
        return Statistics(sample, batch, elements)
    batch, total, wanting = all_reduce_moments(
        batch, elements, call.wants_gradient, call.sync.group
    )
    return Statistics(sample, batch, total, wanting)


def forward(
    x: Tensor, parameters: Parameters, call: Call, running: Running | None
) -> tuple[Tensor, Statistics, Tensor]:
    """Return the output, the statistics and the whitening matrix.

    Args:
        x: the input.
        parameters: what the norm learns.
        call: how it is served.
        running: read in evaluation; updated in training if given.
    """
    plan, x = call.plan, dense(x)
    with _full_precision(x):
        statistics = _statistics(x, call, running)
        inputs = StageInputs(statistics.sample, statistics.batch, parameters)
        A, b, W = plan.backend.transform(plan.stage, inputs)
        if plan.batch_training and running is not None:
            _track(running, statistics, W, call)
        y = torch.empty_like(x)
        rows_of_x, rows_of_y = (affine_view(v, plan.spec) for v in (x, y))
        plan.backend.affine(rows_of_x, A, b, rows_of_y)
    return y, statistics, W


def _track(
    running: Running, statistics: Statistics, W: Tensor, call: Call
) -> None:
    """Update the running statistics."""
    assert statistics.batch is not None  # of a batch in training
    backend = call.plan.backend
    mean, cov = statistics.batch
    if isinstance(statistics.total, Tensor):  # no process may have an element
        mean = torch.where(statistics.total > 0, mean, torch.nan)
    kept = W if call.plan.spec.running == 'matrix' else cov
    backend.update_running(running, Moments(mean, kept), call.momentum)


def backward(
    grad: Tensor,
    x: Tensor,
    inputs: StageInputs,
    call: Call,
    total: Tensor | int,
    wants_input: bool,
) -> tuple[Tensor | None, Parameters]:
    """Return the gradients of the input, if it is wanted, and parameters.

    Args:
        grad: of the output.
        x: the input.
        inputs: parameters, and moments that :func:`forward` found.
        call: as in the forward.
        total: see :class:`Statistics`.
        wants_input: whether the gradient of the input is wanted.
    """
    plan, x = call.plan, dense(x)
    backend = plan.backend
    with _full_precision(x):
        rows_of_x = affine_view(x, plan.spec)
        rows_of_grad = affine_view(dense(grad), plan.spec)
        dA, db = backend.affine_gradients(
            rows_of_grad, rows_of_x, plan.stage.samples != len(x)
        )
        A, gradients = backend.transform_backward(plan.stage, inputs, dA, db)
        elements = rows_of_x.shape[1] * rows_of_x.shape[3]
        size = elements // plan.stage.groups
        B, d = _through_moments(inputs, gradients, size, total, call)
        dx = None
        if wants_input:
            dx = torch.empty_like(x)
            rows_of_dx = affine_view(dx, plan.spec)
            backend.input_gradient(
                rows_of_grad, rows_of_x, A, B, d, rows_of_dx
            )
    return dx, gradients.parameters


def _through_moments(
    inputs: StageInputs,
    gradients: StageInputs,
    size: int,
    total: Tensor | int,
    call: Call,
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
    if call.plan.batch_training and inputs.batch and gradients.batch:
        from_batch = gradients.batch
        if call.sync:
            from_batch = all_reduce_gradients(from_batch, call.sync.group)
        paths.append((inputs.batch, from_batch, total))
    B = d = None
    for moments, gradient, count in paths:
        slope, shift = call.plan.backend.moments_backward(
            moments, gradient, count
        )
        B, d = (slope, shift) if B is None else (B + slope, d + shift)
    return B, d
