"""How work is cut for the GPU: tile sizes, warps, chunks of a reduction.

The numbers are rules of thumb for chips of the H100's kind: 16-byte loads
along the contiguous dimension, tens of kilobytes in flight on every
multiprocessor, accumulators that stay in registers.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..backend import KernelError
from .layouts import ENTRIES, Layout

MAX_ROWS = 128
"""Rows whose (c, c) accumulator fits the registers of one program."""

MAX_STAGE_ROWS = 64
"""Rows whose Newton iteration fits the registers of one program."""

MAX_SLOTS = 64
"""Channel slots of a row (GW) that one program goes through."""

CHANNELS = 256
"""Channels that one program of the small-matrix stage takes at a time."""

_PROGRAMS_PER_PROCESSOR = 8
_WARPS_TO_FILL = 16
_SHORTEST_CHUNK = 256
_SCALAR_TILE = 2048
_ALONG = 512
_ACROSS = 64


class Tile(NamedTuple):
    """Rows and elements of a tile and the warps that share it."""

    rows: int
    elements: int
    num_warps: int


def power_of_two(n: int) -> int:
    """Return the smallest power of two that is not below ``n``."""
    return 1 << max(0, n - 1).bit_length()


def padded(rows: int) -> int:
    """Return the rows of an operand of ``tl.dot``.

    They are a power of two, at least 16.
    """
    return max(16, power_of_two(rows))


def gram_tile(rows: int) -> Tile:
    """Choose the tile of a sum of outer products.

    It has few warps, so that each thread has many outputs and seldom reads
    shared memory.
    """
    rows = padded(rows)
    elements = {16: 64, 32: 64, 64: 32}.get(rows, 16)
    return Tile(rows, elements, rows // 16)


def linear_tile(rows: int) -> Tile:
    """Choose the tile of A x + b."""
    rows = padded(rows)
    elements = 128 if rows < 128 else 64
    return Tile(rows, elements, min(8, max(1, rows * elements // 512)))


def scalar_tile(x: Tensor, layout: Layout) -> Tile:
    """Choose a tile of entries and elements of (N, E, 1, M).

    It is long in the direction that is contiguous in memory, and one for
    all maps but the smallest: image sizes that change compile nothing new.
    """
    if layout.code // 2 == ENTRIES:
        return Tile(_ACROSS, _SCALAR_TILE // _ACROSS, 4)
    elements = _ALONG if x.shape[3] > _ACROSS else 32
    return Tile(_SCALAR_TILE // elements, elements, 4)


class MergeTile(NamedTuple):
    """Rows, columns and parts of (c, c) matrices that a program merges."""

    rows: int
    columns: int
    parts: int
    num_warps: int


def merge_tile(rows: int) -> MergeTile:
    """Choose a tile of many parts and few rows.

    The loop over parts is then short.
    """
    if rows == 1:
        return MergeTile(1, 1, 128, 4)
    columns = padded(rows)
    return MergeTile(max(1, 128 // columns), columns, 32, 4)


def stage_warps(rows: int) -> int:
    """Return the number of warps that share one small matrix."""
    return min(8, padded(rows) // 4)


@functools.cache
def _processors(device: torch.device) -> int:
    """Return the number of multiprocessors of a GPU.

    It is 1 for the interpreter on a CPU.
    """
    if device.type != 'cuda':
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count


def chunks(size: int, programs: int, tile: Tile, x: Tensor) -> tuple[int, int]:
    """Return the number of chunks of a reduction over M, and their tiles.

    There are as many as fill the chip, but none so short that writing its
    result would cost much beside reading it.

    Args:
        size: M.
        programs: programs that one chunk would make.
        tile: what a program takes at a time.
        x: a tensor on the device.
    """
    tiles = -(-size // tile.elements)
    each = _PROGRAMS_PER_PROCESSOR
    if x.shape[2] > 32:  # whose results are large
        each = min(each, _WARPS_TO_FILL // tile.num_warps)
    wanted = -(-each * _processors(x.device) // programs)
    shortest = max(_SHORTEST_CHUNK, 4 * tile.elements)
    number = max(1, min(wanted, size // shortest))
    length = -(-tiles // number)
    return -(-tiles // length), length


def launch(
    kernel: Any, programs: int, tensors: tuple, sizes: tuple, **options
) -> None:
    """Run a kernel on the device of its tensors, some of which are None.

    Raises:
        KernelError: if it cannot be compiled or launched.
    """
    first = next(v for v in tensors if v is not None)
    with torch.cuda.device_of(first):
        try:
            kernel[(programs,)](*tensors, *sizes, **options)
        except Exception as error:  # of many classes over Triton's versions
            name = getattr(kernel, '__name__', str(kernel))
            reason = str(error).strip().splitlines() or ['']
            raise KernelError(
                f'the kernel {name} failed: {type(error).__name__}: '
                f'{reason[-1]}'
            ) from error
