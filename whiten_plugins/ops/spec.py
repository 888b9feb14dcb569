"""What tells one norm of the family from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

SAMPLE_STATS = ('in', 'iw', 'ln')
BATCH_STATS = ('bn', 'bw')
STATISTICS = ('iw', 'in', 'ln', 'bw', 'bn')
"""All of them, in the order in which kernels number them."""


class Moments(NamedTuple):
    """Mean (N, G, c) and covariance (N, G, c, c) of groups of c rows.

    N is 1 where the moments are shared by the whole batch.
    """

    mean: Tensor
    cov: Tensor


class Running(NamedTuple):
    """Running statistics, a norm's buffers.

    Evaluation reads them for the batch.

    ``mean`` is (C,); ``cov`` is a variance (C,), or covariances or whitening
    matrices (G, c, c); ``num_batches``, an integer tensor or None, counts
    the batches that gave statistics.
    """

    mean: Tensor
    cov: Tensor
    num_batches: Tensor | None = None

    def moments(self, num_rows: int, dtype: torch.dtype) -> Moments:
        """Return the buffers as (1, G, c) and (1, G, c, c).

        They share memory with the buffers where these have ``dtype``.
        """
        return Moments(
            self.mean.view(1, -1, num_rows).to(dtype),
            self.cov.view(1, -1, num_rows, num_rows).to(dtype),
        )


@dataclass(frozen=True)
class NormSpec:
    r"""Which statistics, how they are grouped, how they are whitened.

    Args:
        stats: names of the statistics in the order of the ratio logits:
            ``in``, ``iw``, ``ln`` of each sample, ``bn``, ``bw`` of the
            batch. ``iw`` and ``bw`` are covariances, ``in`` and ``bn``
            their diagonals, ``ln`` one variance for the whole sample.
        num_rows: c, the rows that are whitened together.
        across_groups: False where the c rows are neighbouring channels (SW,
            BW), True where each row is a group of C / c channels (GW).
        whitening: ``itn``, ``zca`` or ``pca``; the same for c = 1.
        T: Newton iterations of ``itn``.
        eps: added to the diagonal of the mixed covariance.
        hard: the statistic of the largest logit alone, instead of the
            softmax-weighted sum of all.
        running: what evaluation reads for ``bn`` and ``bw``: the running
            covariance (``cov``) or the running whitening matrix
            (``matrix``).
    """

    stats: tuple[str, ...]
    num_rows: int
    across_groups: bool = False
    whitening: str = 'itn'
    T: int = 5
    eps: float = 1e-5
    hard: bool = False
    running: str = 'cov'

    def __post_init__(self) -> None:
        if self.T < 1:
            raise ValueError(f'T must be at least 1, got {self.T}')
        if self.eps < 0:
            raise ValueError(f'eps must not be negative, got {self.eps}')

    @property
    def uses_batch(self) -> bool:
        return any(name in BATCH_STATS for name in self.stats)

    @property
    def uses_samples(self) -> bool:
        return any(name in SAMPLE_STATS for name in self.stats)

    @property
    def whitens(self) -> bool:
        """Return whether covariances count, not variances alone."""
        return any(name in ('iw', 'bw') for name in self.stats)
