"""What whitening would do in a layer, without training it.

The elements of one batch are whitened by BW, IW and GW with groups of
several sizes and several T, and the condition of what comes out is taken as
everywhere else. In a layer with more than 256 channels the condition is that
of 256 of them, whole groups for BW and IW, whole slots for GW.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..ops import NormSpec, Parameters, Running, normalize
from .measures import Condition, condition_numbers
from .moments import choose_channels

SIZES = (16, 32, 64)
ITERATIONS = (3, 5, 7)
MOST_ELEMENTS = 2048
MOST_CHANNELS = 256
_NOTHING_LEARNED = Parameters(None, None, None, None)


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
    """Whole samples of (N, C, M), or parts of two, in float64."""
    num_samples, _, size = x.shape
    samples = min(num_samples, max(2, MOST_ELEMENTS // max(1, size)))
    positions = max(1, MOST_ELEMENTS // samples)
    steps = torch.linspace(0, size - 1, min(size, positions)).long()
    return x[:samples, :, steps.to(x.device)].double()


def what_if(x: Tensor, eps: float) -> list[WhatIf]:
    """Whiten elements (N, C, M) in all ways.

    Args:
        x: activations before the norm, in float64.
        eps: of the norms.
    """
    found, covs = [], []
    for norm, size, channels in _choices(*x.shape):
        for T in ITERATIONS:
            y = _whiten(x, _spec(norm, size, T, eps))
            covs.append(_covariance(y[:, channels]))
            found.append((norm, size, T))
    kappas = [condition_numbers(cov, 1e-12).tolist() for cov in covs]
    return [
        WhatIf(*choice, Condition(*kappa))
        for choice, kappa in zip(found, kappas)
    ]


def _choices(
    num_samples: int, channels: int, size: int
) -> Iterator[tuple[str, int, Tensor]]:
    """Norms, sizes that fit the layer and the channels to look at."""
    neighbours = choose_channels(channels, MOST_CHANNELS)
    sizes = sorted({min(s, channels) for s in SIZES if s <= channels}) or [
        channels
    ]
    for group in sizes:
        if channels % group:
            continue
        if num_samples * size > 1:
            yield 'BW', group, neighbours
        if size > 1:
            yield 'IW', group, neighbours
        if channels // group * size > 1:
            yield 'GW', group, _slots(channels, sizes)


def _slots(channels: int, sizes: list[int]) -> Tensor:
    """Channels of every row of GW's finest division, so that what GW mixes
    is all there."""
    if channels <= MOST_CHANNELS:
        return torch.arange(channels)
    rows = max(size for size in sizes if channels % size == 0)
    width = channels // rows
    count = max(1, MOST_CHANNELS // rows)
    slots = torch.linspace(0, width - 1, min(width, count)).long()
    return (torch.arange(rows).unsqueeze(1) * width + slots).flatten()


def _spec(norm: str, size: int, T: int, eps: float) -> NormSpec:
    stats = ('bw',) if norm == 'BW' else ('iw',)
    return NormSpec(stats, size, norm == 'GW', 'itn', T, eps)


def _whiten(x: Tensor, spec: NormSpec) -> Tensor:
    """``x`` as the norm of ``spec`` whitens it in training."""
    running = None
    if spec.uses_batch:  # somewhere to write to
        channels, rows = x.shape[1], spec.num_rows
        second = x.new_zeros(channels // rows, rows, rows)
        running = Running(x.new_zeros(channels), second)
    return normalize(x, _NOTHING_LEARNED, spec, running)


def _covariance(y: Tensor) -> Tensor:
    vectors = y.transpose(0, 1).flatten(1)
    centred = vectors - vectors.mean(1, keepdim=True)
    return centred @ centred.mT / vectors.shape[1]
