"""Activations as the layout hands them to a backend, and comparisons."""

import os

import torch
from torch import Tensor

from tests.norms.cases import random_input

# Samples, groups, rows and elements: one row and several, powers of two and
# not, edges of tiles, blocks and registers, more rows than a tile is high.
SHAPES = [
    (2, 3, 1, 1),
    (1, 5, 1, 7),
    (2, 3, 1, 37),
    (1, 1, 5, 1),
    (40, 1, 20, 1),
    (19, 2, 3, 9),
    (2, 5, 3, 31),
    (1, 2, 16, 70),
    (1, 2, 16, 777),
    (1, 1, 40, 7),
    (2, 1, 64, 300),
    (1, 1, 70, 1025),
]
LARGE = [(16, 8, 1, 3136), (3, 4, 16, 777), (1, 2, 16, 20000)]
if os.environ.get('TRITON_INTERPRET') != '1':  # it would take minutes
    SHAPES += LARGE


def rows_of(shape, seed=0, device='cpu', dtype=torch.float32) -> Tensor:
    """(N, G, c, M), correlated rows with means of their own."""
    samples, groups, rows, size = shape
    x = random_input((samples, groups * rows, size), seed)
    return x.view(shape).to(device, dtype)


def slots_between(x: Tensor) -> Tensor:
    """The same (N, E, c, M) with entries between the rows, as GW's slots."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def interleaved(x: Tensor) -> Tensor:
    """The same (N, E, c, M) with the rows' elements far apart in memory and
    entries innermost, as in GW's slots of a channels_last map."""
    return x.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)


def channels_last(x: Tensor) -> Tensor:
    """The same (N, G, c, M) with the rows of a group innermost."""
    return x.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)


LAYOUTS = [Tensor.contiguous, slots_between, channels_last, interleaved]


def matrices(x: Tensor, shared: str = '', seed: int = 0) -> Tensor:
    """Random (N or 1, E or 1, c, c) for x, shared over what is named."""
    samples, entries, rows, _ = x.shape
    generator = torch.Generator().manual_seed(seed)
    shape = (
        1 if 'samples' in shared else samples,
        1 if 'entries' in shared else entries,
        rows,
        rows,
    )
    return torch.randn(shape, generator=generator).to(x.device)


def assert_near(actual, expected, tolerance: float = 1e-5) -> None:
    """Equal to a float64 result up to ``tolerance`` of its largest value."""
    expected = expected.to(actual.device)
    scale = expected.abs().max().clamp(min=1e-3).item()
    torch.testing.assert_close(
        actual.double(), expected, rtol=0, atol=tolerance * scale
    )
