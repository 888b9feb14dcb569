r"""Mean and centred covariance in one pass, cut into chunks over M.

A program takes one chunk of a group, of one sample or of all, and centres it
by the mean of the chunk's first tile, so that no digits are lost where the
mean is far larger than the deviation. The chunks' moments then merge exactly.
"""

import triton
import triton.language as tl

from .tiles import (
    at,
    chunk_bounds,
    columns_of,
    load_tile,
    product,
    square,
)


@triton.jit
def matrix_moments(
    x, x_n, x_g, x_row, x_m, mean, cov,
    num_groups, num_entries, num_chunks, length, size, width,
    ROWS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
    SHARED: tl.constexpr,
):  # fmt: skip
    """Compute moments of one chunk of a group of c > 1 rows."""
    part = tl.program_id(0)
    group = part // num_chunks
    x += at(group // num_groups, group % num_groups, x_n, x_g)
    start, stop = chunk_bounds(part % num_chunks, length, size)
    row = tl.arange(0, PADDED)
    rows = row.to(tl.int64) * x_row
    lanes = tl.arange(0, BLOCK)

    mask = (row[:, None] < ROWS) & (start + lanes < stop)[None, :]
    columns = columns_of(start + lanes, width, x_n, x_m, SHARED)
    first = load_tile(x, rows, columns, mask)
    shift = tl.sum(first, 1) / tl.minimum(stop - start, BLOCK)
    total = tl.zeros((PADDED, BLOCK), tl.float32)
    gram = tl.zeros((PADDED, PADDED), tl.float32)
    for begin in range(start, stop, BLOCK):
        mask = (row[:, None] < ROWS) & (begin + lanes < stop)[None, :]
        columns = columns_of(begin + lanes, width, x_n, x_m, SHARED)
        tile = load_tile(x, rows, columns, mask)
        tile = tl.where(mask, tile - shift[:, None], 0.0)
        total += tile
        gram += product(tile, tl.trans(tile))

    count = (stop - start).to(tl.float32)
    offset = tl.sum(total, 1) / count
    gram = gram / count - offset[:, None] * offset[None, :]
    mean += part.to(tl.int64) * ROWS
    cov += part.to(tl.int64) * ROWS * ROWS
    offsets, inside = square(row, ROWS)
    tl.store(mean + row, shift + offset, mask=row < ROWS)
    tl.store(cov + offsets, gram, mask=inside)


@triton.jit
def scalar_moments(
    x, x_n, x_g, x_row, x_m, mean, cov,
    num_groups, num_entries, num_chunks, length, size, width,
    ENTRIES: tl.constexpr, BLOCK: tl.constexpr, SHARED: tl.constexpr,
):  # fmt: skip
    """Compute moments of one chunk of several groups of one row."""
    program = tl.program_id(0)
    entry = program // num_chunks * ENTRIES + tl.arange(0, ENTRIES)
    rows = at(entry // num_groups, entry % num_groups, x_n, x_g)
    start, stop = chunk_bounds(program % num_chunks, length, size)
    lanes = tl.arange(0, BLOCK)

    valid = entry < num_entries
    mask = valid[:, None] & (start + lanes < stop)[None, :]
    columns = columns_of(start + lanes, width, x_n, x_m, SHARED)
    first = load_tile(x, rows, columns, mask)
    shift = tl.sum(first, 1) / tl.minimum(stop - start, BLOCK)
    total = tl.zeros((ENTRIES, BLOCK), tl.float32)
    squares = tl.zeros((ENTRIES, BLOCK), tl.float32)
    for begin in range(start, stop, BLOCK):
        mask = valid[:, None] & (begin + lanes < stop)[None, :]
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
