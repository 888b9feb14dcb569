"""Time and memory of a norm's training step, a 3×3 convolution the unit."""

from __future__ import annotations

from functools import partial
from statistics import median

import torch
from torch import nn

from benchmarks.layers import builder
from benchmarks.measure import interleaved, peak_bytes, step
from benchmarks.studies.study import Cell

SHAPES = {'64 × 56²': (8, 64, 56, 56), '256 × 28²': (8, 256, 28, 28)}
NORMS = ('BN', 'GN', 'SN', 'SW', 'GW', 'ItN', 'BW')
REPEATS = 15


def cost_cells() -> tuple[Cell, ...]:
    """Return a cell for every norm and shape."""
    return tuple(
        Cell(norm, name, measure=partial(_measure, norm, shape))
        for name, shape in SHAPES.items()
        for norm in NORMS
    )


def _measure(norm: str, shape: tuple[int, ...], seed: int) -> dict[str, float]:
    """Time a norm and a convolution in turns, so that both meet the same."""
    torch.manual_seed(seed)
    channels = shape[1]
    x = torch.randn(shape, requires_grad=True)
    grad = torch.randn(shape)
    modules = {
        'norm': builder(norm, {})(channels),
        'convolution': nn.Conv2d(channels, channels, 3, padding=1, bias=False),
    }
    runs = {
        name: partial(step, module, x, grad)
        for name, module in modules.items()
    }
    seconds = interleaved(runs, REPEATS, x.device)
    ratios = [a / b for a, b in zip(seconds['norm'], seconds['convolution'])]
    memory = {name: peak_bytes(run, x.device) for name, run in runs.items()}
    return {
        'time': median(ratios),
        'memory': memory['norm'] / memory['convolution'],
    }
