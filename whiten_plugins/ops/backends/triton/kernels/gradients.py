"""Gradients of the affine map's coefficients, cut into chunks over M.

dA = sum over elements of g x^T, db = sum over elements of g. Each program
sums one chunk; the chunks' sums lie in one buffer and are added by one
reduction in a fixed order.
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
def matrix_gradients(
    g, g_n, g_e, g_row, g_m, x, x_n, x_e, x_row, x_m, dA, db,
    num_entries, total_entries, num_chunks, length, size, width,
    ROWS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
    SHARED: tl.constexpr,
):  # fmt: skip
    """Sum over one chunk of an entry of c > 1 rows."""
    entry = tl.program_id(0) // num_chunks
    chunk = tl.program_id(0) % num_chunks
    g += at(entry // num_entries, entry % num_entries, g_n, g_e)
    x += at(entry // num_entries, entry % num_entries, x_n, x_e)
    start, stop = chunk_bounds(chunk, length, size)
    row = tl.arange(0, PADDED)
    g_rows, x_rows = row.to(tl.int64) * g_row, row.to(tl.int64) * x_row

    gram = tl.zeros((PADDED, PADDED), tl.float32)
    total = tl.zeros((PADDED, BLOCK), tl.float32)
    for begin in range(start, stop, BLOCK):
        element = begin + tl.arange(0, BLOCK)
        mask = (row[:, None] < ROWS) & (element[None, :] < stop)
        columns = columns_of(element, width, g_n, g_m, SHARED)
        tile = load_tile(g, g_rows, columns, mask)
        columns = columns_of(element, width, x_n, x_m, SHARED)
        other = load_tile(x, x_rows, columns, mask)
        gram += product(tile, tl.trans(other))
        total += tile

    stride = total_entries * (ROWS * ROWS + ROWS)
    offsets, inside = square(row, ROWS)
    dA += at(chunk, entry, stride, ROWS * ROWS)
    tl.store(dA + offsets, gram, mask=inside)
    db += at(chunk, entry, stride, ROWS)
    tl.store(db + row, tl.sum(total, 1), mask=row < ROWS)


@triton.jit
def scalar_gradients(
    g, g_n, g_e, g_row, g_m, x, x_n, x_e, x_row, x_m, dA, db,
    num_entries, total_entries, num_chunks, length, size, width,
    ENTRIES: tl.constexpr, BLOCK: tl.constexpr, SHARED: tl.constexpr,
):  # fmt: skip
    """Sum over one chunk of several entries of c = 1."""
    entry = tl.program_id(0) // num_chunks * ENTRIES + tl.arange(0, ENTRIES)
    chunk = tl.program_id(0) % num_chunks
    n, e = entry // num_entries, entry % num_entries
    start, stop = chunk_bounds(chunk, length, size)
    valid = entry < total_entries

    products = tl.zeros((ENTRIES, BLOCK), tl.float32)
    total = tl.zeros((ENTRIES, BLOCK), tl.float32)
    for begin in range(start, stop, BLOCK):
        element = begin + tl.arange(0, BLOCK)
        mask = valid[:, None] & (element[None, :] < stop)
        columns = columns_of(element, width, g_n, g_m, SHARED)
        tile = load_tile(g, at(n, e, g_n, g_e), columns, mask)
        columns = columns_of(element, width, x_n, x_m, SHARED)
        other = load_tile(x, at(n, e, x_n, x_e), columns, mask)
        products += tile * other
        total += tile

    part = at(chunk, entry, total_entries * 2, 1)
    tl.store(dA + part, tl.sum(products, 1), mask=valid)
    tl.store(db + part, tl.sum(total, 1), mask=valid)
