r"""Mean and centred covariance in one pass, cut into chunks over M.

A program takes one chunk of a group, of one sample or of all, and centres it
by the mean of the chunk's first tile, so that no digits are lost where the
mean is far larger than the deviation. The chunks' moments then merge exactly.
"""

import triton
import triton.language as tl

from .tiles import (
    ELEMENTS,
    ENTRIES,
    at,
    chunk_start,
    columns_of,
    extent,
    gram_of,
    load_tile,
    square,
    step,
)
from .tiles import ROWS as INNER_ROWS

_SIZES = tuple(
    (
        'x_n x_e x_row x_m num_samples num_entries num_chunks num_tiles size '
        'width'
    ).split()
)


@triton.jit(do_not_specialize=_SIZES)
def matrix_moments(
    x, x_n, x_e, x_row, x_m, mean, cov,
    num_samples, num_entries, num_chunks, num_tiles, size, width,
    ROWS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
    SHARED: tl.constexpr, LAYOUT: tl.constexpr,
):  # fmt: skip
    """Compute moments of one chunk of an entry of c > 1 rows."""
    num_entries = extent(num_entries, LAYOUT, ENTRIES)
    size = extent(size, LAYOUT, ELEMENTS)
    width = extent(width, LAYOUT, ELEMENTS)
    x_n, x_e = step(x_n, LAYOUT, 0), step(x_e, LAYOUT, ENTRIES)
    x_m = step(x_m, LAYOUT, ELEMENTS)
    WIDE: tl.constexpr = x.dtype.element_ty == tl.float32
    part = tl.program_id(0)
    entry = part // num_chunks
    x += at(entry // num_entries, entry % num_entries, x_n, x_e)
    start = chunk_start(part % num_chunks, num_tiles, BLOCK)
    stop = tl.minimum(start + num_tiles * BLOCK, size)
    row = tl.arange(0, PADDED)
    rows = row.to(tl.int64) * step(x_row, LAYOUT, INNER_ROWS)
    lanes = tl.arange(0, BLOCK)

    mask = (row[:, None] < ROWS) & (start + lanes < size)[None, :]
    columns = columns_of(start + lanes, width, x_n, x_m, SHARED)
    first = load_tile(x, rows, columns, mask)
    shift = tl.sum(first, 1) / tl.minimum(stop - start, BLOCK)
    total = tl.zeros((PADDED, BLOCK), tl.float32)
    gram = tl.zeros((PADDED, PADDED), tl.float32)
    for begin in range(start, stop, BLOCK):
        mask = (row[:, None] < ROWS) & (begin + lanes < size)[None, :]
        columns = columns_of(begin + lanes, width, x_n, x_m, SHARED)
        tile = load_tile(x, rows, columns, mask)
        tile = tl.where(mask, tile - shift[:, None], 0.0)
        total += tile
        gram += gram_of(tile, WIDE)

    count = (stop - start).to(tl.float32)
    offset = tl.sum(total, 1) / count
    gram = gram / count - offset[:, None] * offset[None, :]
    mean += part.to(tl.int64) * ROWS
    cov += part.to(tl.int64) * ROWS * ROWS
    offsets, inside = square(row, ROWS)
    tl.store(mean + row, shift + offset, mask=row < ROWS)
    tl.store(cov + offsets, gram, mask=inside)


@triton.jit(do_not_specialize=_SIZES)
def scalar_moments(
    x, x_n, x_e, x_row, x_m, mean, cov,
    num_samples, num_entries, num_chunks, num_tiles, size, width,
    TILE_ENTRIES: tl.constexpr, BLOCK: tl.constexpr, SHARED: tl.constexpr,
    LAYOUT: tl.constexpr,
):  # fmt: skip
    """Compute moments of one chunk of several entries of one row."""
    num_entries = extent(num_entries, LAYOUT, ENTRIES)
    size = extent(size, LAYOUT, ELEMENTS)
    width = extent(width, LAYOUT, ELEMENTS)
    x_n, x_e = step(x_n, LAYOUT, 0), step(x_e, LAYOUT, ENTRIES)
    x_m = step(x_m, LAYOUT, ELEMENTS)
    program = tl.program_id(0)
    entry = program // num_chunks * TILE_ENTRIES + tl.arange(0, TILE_ENTRIES)
    rows = at(entry // num_entries, entry % num_entries, x_n, x_e)
    start = chunk_start(program % num_chunks, num_tiles, BLOCK)
    stop = tl.minimum(start + num_tiles * BLOCK, size)
    lanes = tl.arange(0, BLOCK)

    valid = entry < num_samples * num_entries
    mask = valid[:, None] & (start + lanes < size)[None, :]
    columns = columns_of(start + lanes, width, x_n, x_m, SHARED)
    first = load_tile(x, rows, columns, mask)
    shift = tl.sum(first, 1) / tl.minimum(stop - start, BLOCK)
    total = tl.zeros((TILE_ENTRIES, BLOCK), tl.float32)
    squares = tl.zeros((TILE_ENTRIES, BLOCK), tl.float32)
    for begin in range(start, stop, BLOCK):
        mask = valid[:, None] & (begin + lanes < size)[None, :]
        columns = columns_of(begin + lanes, width, x_n, x_m, SHARED)
        tile = load_tile(x, rows, columns, mask)
        tile = tl.where(mask, tile - shift[:, None], 0.0)
        total += tile
        squares += tile * tile

    count = (stop - start).to(tl.float32)
    offset = tl.sum(total, 1) / count
    variance = tl.sum(squares, 1) / count - offset * offset
    part = entry * num_chunks + program % num_chunks
    tl.store(mean + part, shift + offset, mask=valid)
    tl.store(cov + part, variance, mask=valid)
