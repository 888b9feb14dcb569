r"""The norms as plain PyTorch operators, for tracing and transforming.

The core reads activations block by block and differentiates by hand; a
tracer can follow neither, nor can :mod:`torch.func`. What they follow is the
same computation without blocks: with X, the c rows of M elements of one
sample and group,

.. math::
    m = \bar X, \quad C = (X - m)(X - m)^T / M, \quad Y = A X + b

where A and b come from the core's own mixture and whitening. Batch and image
size stay free: no number of elements decides anything here, except that a
map of one pixel, as a pooling layer makes it, stays one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .backends.torch.folding import fold
from .backends.torch.mixture import mix
from .backends.torch.statistics import update_running
from .backends.torch.whitening import (
    coupled_newton,
    eigenvectors,
    whitening_matrix,
)
from .spec import BATCH_STATS, Moments, NormSpec, Running
from .stage import Parameters, StageInputs

INVERSE_SQRT_ITERATIONS = 40
"""Channels whose scales differ by 1e6 have eigenvalues of 1e-12 beside 1. The
root, 1e-6, grows by half in each of 34 iterations; the last converge
quadratically."""


def is_transformed() -> bool:
    """Return whether a transform of :mod:`torch.func` is at work.

    That is grad, vmap, jvp or another.
    """
    return torch._C._are_functorch_transforms_active()


def traceable_norm(
    x: Tensor, parameters: Parameters, spec: NormSpec, running: Running | None
) -> Tensor:
    r"""Compute :func:`~.normalize.whitening_norm` in evaluation.

    Differentiable by autograd, which keeps several times as much memory.

    Args:
        x: (N, C, \*), not empty.
        parameters: weight, bias and ratio logits.
        spec: the norm.
        running: running statistics, where ``spec`` has batch statistics.

    Raises:
        ValueError: if every statistic would be taken over one element.
    """
    active = _active_stats(x, spec)
    with torch.autocast(x.device.type, enabled=False):
        rows = _rows(_widened(x), spec)
        batch = None
        if spec.uses_batch:
            assert running is not None  # with batch statistics it is there
            batch = running.moments(spec.num_rows, rows.dtype)
        if spec.running == 'matrix' and batch is not None:
            mean, W = batch
        else:
            mean, W = _whitening(rows, batch, parameters, spec, active)
        return _transformed(x, rows, mean, W, parameters, spec)


def transformable_norm(
    x: Tensor,
    parameters: Parameters,
    spec: NormSpec,
    active: tuple[str, ...],
    running: Running,
    momentum: float | None,
) -> Tensor:
    r"""Compute :func:`~.normalize.whitening_norm` in training.

    For norms with batch statistics. As :func:`traceable_norm`; ``running``
    is updated in place, which :func:`torch.func.grad` allows for buffers
    that are arguments of the function that it transforms, as for
    BatchNorm's.

    Args:
        x: (N, C, \*), not empty.
        parameters: weight, bias and ratio logits.
        spec: the norm.
        active: the statistics that are defined for this input.
        running: running statistics, updated.
        momentum: weight of this batch in them.
    """
    with torch.autocast(x.device.type, enabled=False):
        rows = _rows(_widened(x), spec)
        batch = _moments(rows.permute(1, 2, 0, 3).flatten(2).unsqueeze(0))
        mean, W = _whitening(rows, batch, parameters, spec, active)
        kept = W if spec.running == 'matrix' else batch.cov
        seen = Moments(batch.mean.detach(), kept.detach())
        update_running(running, seen, momentum)
        return _transformed(x, rows, mean, W, parameters, spec)


def _whitening(
    rows: Tensor,
    batch: Moments | None,
    parameters: Parameters,
    spec: NormSpec,
    active: tuple[str, ...],
) -> tuple[Tensor, Tensor]:
    """Return the mixed mean and the whitening matrix."""
    sample = None
    if spec.uses_samples:
        merged = rows.flatten(2).unsqueeze(1) if spec.across_groups else rows
        sample = _moments(merged)
    mean, cov = mix(spec, active, StageInputs(sample, batch, parameters))
    return mean, _whitening_matrix(cov, spec)


def _transformed(
    x: Tensor,
    rows: Tensor,
    mean: Tensor,
    W: Tensor,
    parameters: Parameters,
    spec: NormSpec,
) -> Tensor:
    """Return A x + b."""
    A, b, _ = fold(mean, W, parameters, spec)
    if spec.across_groups:
        y = _affine(rows.transpose(1, 2), A, b).transpose(1, 2)
    else:
        y = _affine(rows, A, b)
    return y.reshape(x.shape).type_as(x)


def _widened(x: Tensor) -> Tensor:
    """Return ``x`` in float32 or wider, whatever autocast makes of it.

    A program that torch.jit traced obeys the autocast around it, since the
    tracer does not record that it was off: float64 is left alone there. ONNX
    has no autocast, and torch.export records the switch, but also asserts
    that what is converted has the dtype that was seen.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    if torch.onnx.is_in_onnx_export():
        return x.to(wide)
    if torch.jit.is_tracing():  # mps has no float64
        return x.to(wide if x.device.type == 'mps' else torch.float64)
    return x * x.new_ones(1, dtype=wide)


def _rows(x: Tensor, spec: NormSpec) -> Tensor:
    r"""View (N, C, \*) as (N, G, c, M), or across groups (N, c, C / c, M).

    As :mod:`~whiten_plugins.ops.layout`, with sizes that a traced program
    holds as constants.
    """
    others = int(x.shape[1]) // spec.num_rows
    sizes = others, spec.num_rows
    return x.reshape(
        x.shape[0], *(sizes[::-1] if spec.across_groups else sizes), -1
    )


def _active_stats(x: Tensor, spec: NormSpec) -> tuple[str, ...]:
    """Return the statistics that more than one element defines here."""
    # A symbolic size stands for many values: no map of one pixel.
    pixels = any(isinstance(s, torch.SymInt) or s > 1 for s in x.shape[2:])
    in_row = pixels or (spec.across_groups and x.shape[1] > spec.num_rows)
    defined = {'in': in_row, 'iw': in_row, 'ln': pixels or x.shape[1] > 1}
    active = tuple(
        name for name in spec.stats if defined.get(name, name in BATCH_STATS)
    )
    if not active:
        raise ValueError(
            f'{", ".join(spec.stats)} statistics need more than 1 value per '
            f'channel, got input size {tuple(x.shape)}'
        )
    return active


def _moments(rows: Tensor) -> Moments:
    mean = rows.mean(-1, keepdim=True)
    centred = rows - mean
    cov = centred @ centred.transpose(-1, -2) / rows.shape[-1]
    return Moments(mean.flatten(2), cov)


def _affine(x: Tensor, A: Tensor, b: Tensor) -> Tensor:
    """Return A x + b, multiplied as the core does."""
    b = b.unsqueeze(-1)
    return torch.addcmul(b, x, A) if A.shape[-1] == 1 else A @ x + b


def _whitening_matrix(S: Tensor, spec: NormSpec) -> Tensor:
    """Return the whitening matrix, without an autograd Function."""
    if spec.whitening == 'itn' or S.shape[-1] == 1:
        return whitening_matrix(S, spec)
    if spec.whitening == 'zca' and (
        torch.onnx.is_in_onnx_export() or is_transformed()
    ):
        return inverse_sqrt(S)
    eigenvalues, D = eigenvectors(S, spec.eps)
    scale = eigenvalues.rsqrt().unsqueeze(-2)
    if spec.whitening == 'zca':
        return ((D * scale) @ D.transpose(-1, -2)).to(S.dtype)
    D, scale = D.flip(-1), scale.flip(-1)
    D = torch.where(D[..., :1, :] < 0, -D, D)
    return (D * scale).transpose(-1, -2).to(S.dtype)


def inverse_sqrt(S: Tensor) -> Tensor:
    r"""Return S^(-1/2) by products alone.

    ONNX has no eigendecomposition, and its derivative in torch divides by
    the gaps between eigenvalues.

    :func:`~.whitening.coupled_newton` of :math:`S / \lVert S \rVert` until
    it has converged, in float64.

    Args:
        S: (\*, c, c), symmetric and positive definite.
    """
    wide = S.double()
    norm = wide.square().sum((-1, -2), keepdim=True).sqrt()
    Z = coupled_newton(wide / norm, INVERSE_SQRT_ITERATIONS)
    return (Z * norm.rsqrt()).to(S.dtype)
