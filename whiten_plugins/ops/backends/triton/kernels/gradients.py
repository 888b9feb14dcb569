"""Gradients of the affine map's coefficients, cut into chunks over M.

dA = sum over elements of g x^T, db = sum over elements of g. Each program
sums one chunk; whoever reads the chunks' sums adds them in a fixed order.
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
    load_raw,
    load_tile,
    raw_product,
    square,
    step,
)
from .tiles import ROWS as INNER_ROWS

_SIZES = tuple(
    (
        'g_n g_e g_row g_m x_n x_e x_row x_m num_samples num_entries '
        'num_chunks num_tiles size width'
    ).split()
)


@triton.jit(do_not_specialize=_SIZES)
def matrix_gradients(
    x, x_n, x_e, x_row, x_m, g, g_n, g_e, g_row, g_m, dA, db,
    num_samples, num_entries, num_chunks, num_tiles, size, width,
    ROWS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
    SHARED: tl.constexpr, LAYOUT: tl.constexpr, LAYOUT_G: tl.constexpr,
):  # fmt: skip
    """Sum over one chunk of an entry of c > 1 rows."""
    num_entries = extent(num_entries, LAYOUT, ENTRIES)
    size = extent(size, LAYOUT, ELEMENTS)
    width = extent(width, LAYOUT, ELEMENTS)
    x_n, x_e = step(x_n, LAYOUT, 0), step(x_e, LAYOUT, ENTRIES)
    g_n, g_e = step(g_n, LAYOUT_G, 0), step(g_e, LAYOUT_G, ENTRIES)
    x_m = step(x_m, LAYOUT, ELEMENTS)
    g_m = step(g_m, LAYOUT_G, ELEMENTS)
    entry = tl.program_id(0) // num_chunks
    chunk = tl.program_id(0) % num_chunks
    g += at(entry // num_entries, entry % num_entries, g_n, g_e)
    x += at(entry // num_entries, entry % num_entries, x_n, x_e)
    start = chunk_start(chunk, num_tiles, BLOCK)
    stop = tl.minimum(start + num_tiles * BLOCK, size)
    row = tl.arange(0, PADDED)
    g_rows = row.to(tl.int64) * step(g_row, LAYOUT_G, INNER_ROWS)
    x_rows = row.to(tl.int64) * step(x_row, LAYOUT, INNER_ROWS)

    gram = tl.zeros((PADDED, PADDED), tl.float32)
    total = tl.zeros((PADDED, BLOCK), tl.float32)
    for begin in range(start, stop, BLOCK):
        element = begin + tl.arange(0, BLOCK)
        mask = (row[:, None] < ROWS) & (element[None, :] < size)
        columns = columns_of(element, width, g_n, g_m, SHARED)
        tile = load_raw(g, g_rows, columns, mask)
        columns = columns_of(element, width, x_n, x_m, SHARED)
        other = load_raw(x, x_rows, columns, mask)
        gram += raw_product(tile, tl.trans(other))
        total += tile.to(tl.float32)

    stride = num_samples * num_entries * (ROWS * ROWS + ROWS)
    offsets, inside = square(row, ROWS)
    dA += at(chunk, entry, stride, ROWS * ROWS)
    tl.store(dA + offsets, gram, mask=inside)
    db += at(chunk, entry, stride, ROWS)
    tl.store(db + row, tl.sum(total, 1), mask=row < ROWS)


@triton.jit(do_not_specialize=_SIZES)
def scalar_gradients(
    x, x_n, x_e, x_row, x_m, g, g_n, g_e, g_row, g_m, dA, db,
    num_samples, num_entries, num_chunks, num_tiles, size, width,
    TILE_ENTRIES: tl.constexpr, BLOCK: tl.constexpr, SHARED: tl.constexpr,
    LAYOUT: tl.constexpr, LAYOUT_G: tl.constexpr,
):  # fmt: skip
    """Sum over one chunk of several entries of c = 1."""
    num_entries = extent(num_entries, LAYOUT, ENTRIES)
    size = extent(size, LAYOUT, ELEMENTS)
    width = extent(width, LAYOUT, ELEMENTS)
    x_n, x_e = step(x_n, LAYOUT, 0), step(x_e, LAYOUT, ENTRIES)
    g_n, g_e = step(g_n, LAYOUT_G, 0), step(g_e, LAYOUT_G, ENTRIES)
    x_m = step(x_m, LAYOUT, ELEMENTS)
    g_m = step(g_m, LAYOUT_G, ELEMENTS)
    chunk = tl.program_id(0) % num_chunks
    entry = tl.program_id(0) // num_chunks * TILE_ENTRIES
    entry += tl.arange(0, TILE_ENTRIES)
    n, e = entry // num_entries, entry % num_entries
    start = chunk_start(chunk, num_tiles, BLOCK)
    stop = tl.minimum(start + num_tiles * BLOCK, size)
    total_entries = num_samples * num_entries
    valid = entry < total_entries

    products = tl.zeros((TILE_ENTRIES, BLOCK), tl.float32)
    total = tl.zeros((TILE_ENTRIES, BLOCK), tl.float32)
    for begin in range(start, stop, BLOCK):
        element = begin + tl.arange(0, BLOCK)
        mask = valid[:, None] & (element[None, :] < size)
        columns = columns_of(element, width, g_n, g_m, SHARED)
        tile = load_tile(g, at(n, e, g_n, g_e), columns, mask)
        columns = columns_of(element, width, x_n, x_m, SHARED)
        other = load_tile(x, at(n, e, x_n, x_e), columns, mask)
        products += tile * other
        total += tile

    part = at(chunk, entry, total_entries * 2, 1)
    tl.store(dA + part, tl.sum(products, 1), mask=valid)
    tl.store(db + part, tl.sum(total, 1), mask=valid)
