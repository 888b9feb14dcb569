"""Covariances over many batches, from a random choice of elements."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops import Moments, merge_samples

BLOCK = 64  # neighbouring channels, the largest group that is usual


def choose_channels(channels: int, most: int) -> Tensor:
    """Return the indices of at most ``most`` channels.

    They form evenly spaced blocks of neighbours, so that whole groups are
    among them.
    """
    if channels <= most:
        return torch.arange(channels)
    block = min(BLOCK, most)
    count = most // block
    starts = torch.linspace(0, channels // block - 1, count).long() * block
    return (starts.unsqueeze(1) + torch.arange(block)).flatten()


def choose_elements(
    x: Tensor, most: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return sample and position of at most ``most`` elements of (N, C, M).

    All elements are taken if there are no more.
    """
    num_samples, _, size = x.shape
    total = num_samples * size
    if total <= most:
        index = torch.arange(total)
    else:
        index = torch.randperm(total, generator=generator)[:most]
    index = index.to(x.device)
    return index // size, index % size


def take(
    x: Tensor, elements: tuple[Tensor, Tensor], channels: Tensor
) -> Tensor:
    """Take elements of (N, C, M), as float64 (elements, channels)."""
    samples, positions = elements
    taken = x[samples, :, positions]
    if len(channels) < x.shape[1]:
        taken = taken[:, channels.to(x.device)]
    return taken.double()


class JointMoments:
    """Mean and covariance of vectors, batch after batch.

    Each batch is centred by its own mean before its products are summed, in
    float64, and batches are merged exactly (Chan, Golub and LeVeque 1979),
    so that no digits are lost where means are far larger than deviations.
    Vectors with NaN or Inf are left out and counted.

    Attributes:
        count: vectors so far.
        mean: (d,).
        skipped: vectors that were not finite.
    """

    def __init__(self) -> None:
        self.count = 0
        self.skipped = 0
        self.mean = torch.zeros(())
        self._products = torch.zeros(())

    def add(self, vectors: Tensor) -> None:
        """Add vectors (n, d) in float64."""
        finite = vectors.sum(-1).isfinite()
        if not finite.all():
            self.skipped += int((~finite).sum())
            vectors = vectors[finite]
        count = len(vectors)
        if not self.count:  # also where nothing is finite
            self.mean = vectors.new_zeros(vectors.shape[1])
            self._products = self.mean.diag_embed()
        if not count:
            return
        mean = vectors.mean(0)
        centred = vectors - mean
        products = centred.mT @ centred
        total = self.count + count
        delta = mean - self.mean
        self._products += products
        self._products.addr_(delta, delta, alpha=self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total

    @property
    def cov(self) -> Tensor:
        """(d, d), biased as the papers' are; NaN without vectors."""
        return (
            self._products / self.count
            if self.count
            else (self._products.fill_(torch.nan))
        )


class ChannelVariance:
    """Mean and variance of each channel over all batches, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self._squares = torch.zeros(())

    def add(self, sample: Moments, size: int) -> None:
        """Add the moments of samples with ``size`` elements each."""
        mean, cov = (v.double() for v in merge_samples(sample))
        mean, variance = mean.flatten(), cov.flatten()
        if not self.count:
            self.mean = self._squares = torch.zeros_like(mean)
        if not (mean.isfinite().all() and variance.isfinite().all()):
            return
        count = len(sample.mean) * size
        total = self.count + count
        delta = mean - self.mean
        self._squares = (
            self._squares
            + variance * count
            + delta.square() * (self.count * count / total)
        )
        self.mean = self.mean + delta * (count / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """(C,), biased; NaN where no batch was finite."""
        if not self.count:
            return torch.full_like(self.mean, torch.nan)
        return self._squares / self.count
