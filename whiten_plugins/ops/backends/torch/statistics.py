"""What becomes of moments between the passes, in PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from ...spec import Moments, Running


def merge_samples(sample: Moments) -> Moments:
    """Compute the moments of the batch from those of its samples, exactly.

    m = mean m_n, C = mean [C_n + (m_n - m)(m_n - m)^T], as (1, G, c[, c]).
    """
    count = max(1, len(sample.mean))
    mean = sample.mean.sum(0, keepdim=True) / count
    spread = (sample.mean - mean).permute(1, 2, 0)
    cov = torch.baddbmm(sample.cov.sum(0), spread, spread.mT)
    return Moments(mean, cov.unsqueeze(0) / count)


def moments_backward(
    moments: Moments, gradients: Moments, count: Tensor | int
) -> tuple[Tensor, Tensor]:
    """Return B and d of B x + d, what reaches x through its moments.

    B = (dC + dC^T) / count, d = dm / count - B m.

    Args:
        moments: of a sample, or of the batch.
        gradients: of these.
        count: the number of elements behind them.
    """
    B = (gradients.cov + gradients.cov.mT) / count
    # A statistic that a hard choice leaves out has B = 0 and may have m = NaN.
    mean = torch.where(B.any(-1), moments.mean, 0)
    return B, gradients.mean / count - (B @ mean.unsqueeze(-1)).squeeze(-1)


def update_running(
    running: Running, batch: Moments, momentum: float | None
) -> None:
    """Update the running statistics in place.

    running = (1 - momentum) * running + momentum * batch

    A group whose batch statistics hold NaN or Inf keeps its old values. The
    average is taken in float32 or wider, and kept within the numbers that
    the buffers' dtype has.

    Args:
        running: the buffers; their count grows by one if the batch gives
            statistics.
        batch: batch mean, (1, G, c), and what is kept beside it: batch
            covariance or whitening matrix, (1, G, c, c).
        momentum: weight of the batch, in [0, 1]. None for the mean of all
            batches that were counted; then a batch counts as a whole or not
            at all.
    """
    groups = batch.mean.shape[1]
    sums = batch.mean.view(groups, -1).sum(1)
    sums = sums + batch.cov.view(groups, -1).sum(1)
    finite = sums.isfinite().unsqueeze(1)
    if momentum is None:
        finite = finite.all(0, keepdim=True)
    if running.num_batches is not None:
        running.num_batches.add_(finite.any())
    weight: float | Tensor
    if momentum is not None:
        weight = momentum
    else:
        assert running.num_batches is not None  # else momentum is a number
        counted = running.num_batches.to(sums.dtype)
        weight = counted.clamp(min=1).reciprocal()
    for buffer, value in zip(running[:2], batch):
        old = buffer.view(groups, -1)
        value = value.view(groups, -1)
        wide = torch.promote_types(old.dtype, value.dtype)
        new = old.to(wide).lerp(value.to(wide), _as(weight, wide))
        if wide != old.dtype:
            limit = torch.finfo(old.dtype).max
            new = new.clamp(-limit, limit).to(old.dtype)
        old.copy_(torch.where(finite, new, old))


def _as(weight: float | Tensor, dtype: torch.dtype) -> float | Tensor:
    return weight.to(dtype) if isinstance(weight, Tensor) else weight
