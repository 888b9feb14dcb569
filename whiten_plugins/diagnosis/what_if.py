r"""What whitening would do in a layer, without training it.

From the moments of one batch. With :math:`m_n, C_n` the mean and covariance
of all channels in sample n, and W the whitening matrices of BW, IW or GW,
made from the same moments, the covariance of what they would put out is

.. math::
    \frac1N \sum_n W_n C_n W_n^T + \mathrm{Cov}_n [W_n (m_n - \mu_n)]

and its condition is taken as everywhere else. In a layer with more than 128
channels it is that of 128 of them, whole groups for BW and IW, whole slots
for GW.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..ops import Moments, NormSpec, merge_samples
from ..ops.samples import newton_schulz, sample_moments
from .measures import ZERO, Condition, condition_numbers
from .moments import BLOCK, choose_channels

SIZES = (16, 32, 64)
ITERATIONS = (3, 5, 7)
MOST_CHANNELS = 128
MOST_POSITIONS = 512


class WhatIf(NamedTuple):
    """One whitening and the condition that it would reach.

    Attributes:
        norm: 'BW', 'IW' or 'GW'.
        size: channels in a group (BW, IW), groups (GW).
        T: Newton iterations.
        condition: of the whitened channels.
    """

    norm: str
    size: int
    T: int
    condition: Condition


def choose_samples(x: Tensor) -> Tensor:
    """Select some samples of (N, C, M), in float64.

    At most 512 positions of each are taken, and more samples where they are
    small.
    """
    size = x.shape[2]
    samples = 256 if size == 1 else 16 if size < 64 else 4
    steps = torch.linspace(0, size - 1, min(size, MOST_POSITIONS)).long()
    return x[:samples, :, steps.to(x.device)].double()


def what_if(x: Tensor, eps: float) -> list[WhatIf]:
    """Whiten activations (N, C, M) in every way that fits them.

    Args:
        x: activations before the norm, in float64.
        eps: of the norms.
    """
    found: list[tuple[str, int, int]] = []
    covs: list[Tensor] = []
    known: dict[tuple[int, ...], Moments] = {}
    for norm, size, channels, statistics in _choices(x):
        sample = _all_channels(x, channels, known)
        eye = torch.eye(size, dtype=x.dtype, device=x.device)
        S = statistics.cov + eps * eye
        if norm == 'BW':
            sample = merge_samples(sample)
        flat = S.flatten(0, 1)
        W = torch.stack(
            [newton_schulz(flat, T).view_as(S) for T in ITERATIONS]
        )
        covs += _whitened(sample, statistics.mean, W)
        found += [(norm, size, T) for T in ITERATIONS]
    return [
        WhatIf(*choice, Condition(*kappa))
        for choice, kappa in zip(found, _conditions(covs))
    ]


def _choices(x: Tensor) -> Iterator[tuple[str, int, Tensor, Moments]]:
    """Yield the norms and group sizes that fit the layer.

    With each come the channels to look at, in the order of their groups, and
    the moments that the norm whitens by.
    """
    num_samples, channels, size = x.shape
    divisors = [d for d in range(1, 17) if channels % d == 0]
    for group in [s for s in SIZES if channels % s == 0] or divisors[-1:]:
        neighbours = _groups(channels, group).to(x.device)
        own = NormSpec(('iw',), num_rows=group)
        sample = sample_moments(x[:, neighbours], own)
        if num_samples * size > 1:
            yield 'BW', group, neighbours, merge_samples(sample)
        if size > 1:
            yield 'IW', group, neighbours, sample
        if channels // group * size > 1:
            across = NormSpec(('iw',), num_rows=group, across_groups=True)
            rows = sample_moments(x, across)
            yield 'GW', group, _slots(channels, group).to(x.device), rows


def _groups(channels: int, group: int) -> Tensor:
    """Return neighbouring channels that form whole groups."""
    if BLOCK % group == 0:
        return choose_channels(channels, MOST_CHANNELS)
    return torch.arange(min(channels, MOST_CHANNELS // group * group))


def _slots(channels: int, rows: int) -> Tensor:
    """Return the channels of some slots, with every row of GW in each."""
    width = channels // rows
    count = max(1, min(width, MOST_CHANNELS // rows))
    slots = torch.linspace(0, width - 1, count).long()
    return (slots.unsqueeze(1) + torch.arange(rows) * width).flatten()


def _all_channels(
    x: Tensor, channels: Tensor, known: dict[tuple[int, ...], Moments]
) -> Moments:
    """Compute mean and covariance of these channels in each sample.

    All of them count as one group.

    Args:
        x: (N, C, M).
        channels: in the order that is wanted.
        known: moments by their sorted channels, added to.
    """
    order = channels.argsort()
    key = tuple(channels[order].tolist())
    if key not in known:
        together = NormSpec(('iw',), num_rows=len(channels))
        known[key] = sample_moments(x[:, channels[order]], together)
    mean, cov = known[key]
    place = order.argsort()
    return Moments(mean[..., place], cov[..., place, :][..., place])


def _whitened(sample: Moments, centre: Tensor, W: Tensor) -> Tensor:
    """Compute covariances (K, d, d) over all samples after whitening.

    Args:
        sample: of all channels, (N, 1, d) and (N, 1, d, d).
        centre: what the norm subtracts, (N, G, c), or (N, 1, c) where all
            groups share it.
        W: K whitenings, (K, N, G, c, c) or (K, N, 1, c, c).
    """
    mean, cov = sample.mean[:, 0], sample.cov[:, 0]
    rows = W.shape[-1]

    def apply(v: Tensor) -> Tensor:  # W v, (K, N, d, k)
        return (W @ v.unflatten(-2, (-1, rows))).flatten(-3, -2)

    inside = torch.zeros_like(cov[0])
    if cov.any():  # more than one element a sample
        inside = apply(apply(cov).mT).mean(1)
    offset = mean.unflatten(1, (-1, rows)) - centre
    offset = (W @ offset.unsqueeze(-1)).flatten(2)
    offset = offset - offset.mean(1, keepdim=True)
    return inside + offset.mT @ offset / offset.shape[1]


def _conditions(covs: list[Tensor]) -> list[list[float]]:
    """Compute κ of all, in one call for each number of channels."""
    found: dict[int, list[float]] = {}
    by_size: dict[int, list[int]] = {}
    for index, cov in enumerate(covs):
        by_size.setdefault(len(cov), []).append(index)
    for places in by_size.values():
        stacked = torch.stack([covs[place] for place in places])
        kappas = condition_numbers(stacked, ZERO[torch.float64])
        for place, kappa in zip(places, kappas.mT.tolist()):
            found[place] = kappa
    return [found[index] for index in range(len(covs))]
