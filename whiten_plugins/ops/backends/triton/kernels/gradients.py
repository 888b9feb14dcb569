"""Gradients of the affine map's coefficients, cut into chunks over M.

dA = sum over elements of g x^T, db = sum over elements of g. Each program
sums one chunk; the chunks' sums lie in one buffer and are added by one
reduction in a fixed order.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..tuning import chunks, gram_tile, launch, scalar_tile
from .tiles import at, chunk_bounds, load_tile, product, square


@triton.jit
def _matrix_gradients(
    g, g_n, g_e, g_row, g_m, x, x_n, x_e, x_row, x_m, dA, db,
    num_entries, total_entries, num_chunks, length, size,
    ROWS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums over one chunk of an entry of c > 1 rows."""
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
        tile = load_tile(g, g_rows, element, g_m, mask)
        other = load_tile(x, x_rows, element, x_m, mask)
        gram += product(tile, tl.trans(other))
        total += tile

    stride = total_entries * (ROWS * ROWS + ROWS)
    offsets, inside = square(row, ROWS)
    dA += at(chunk, entry, stride, ROWS * ROWS)
    tl.store(dA + offsets, gram, mask=inside)
    db += at(chunk, entry, stride, ROWS)
    tl.store(db + row, tl.sum(total, 1), mask=row < ROWS)


@triton.jit
def _scalar_gradients(
    g, g_n, g_e, g_row, g_m, x, x_n, x_e, x_row, x_m, dA, db,
    num_entries, total_entries, num_chunks, length, size,
    ENTRIES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums over one chunk of several entries of c = 1."""
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
        tile = load_tile(g, at(n, e, g_n, g_e), element, g_m, mask)
        other = load_tile(x, at(n, e, x_n, x_e), element, x_m, mask)
        products += tile * other
        total += tile

    part = at(chunk, entry, total_entries * 2, 1)
    tl.store(dA + part, tl.sum(products, 1), mask=valid)
    tl.store(db + part, tl.sum(total, 1), mask=valid)


def affine_gradients(grad: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the affine map's coefficients.

    Args:
        grad: g, the gradient of the output, (N, E, c, M) of any strides.
        x: (N, E, c, M) of any strides.

    Returns:
        dA (N, E, c, c) and db (N, E, c), float32.
    """
    num_samples, entries, rows, size = x.shape
    total = num_samples * entries
    tile = scalar_tile(x) if rows == 1 else gram_tile(rows, size)
    programs = -(-total // tile.rows) if rows == 1 else total
    num_chunks, length = chunks(size, programs, tile, x)
    sizes = (total * rows * rows, total * rows)
    parts = torch.empty(
        num_chunks, sum(sizes), dtype=torch.float32, device=x.device
    )
    if rows == 1:
        kernel, shape = _scalar_gradients, {'ENTRIES': tile.rows}
    else:
        kernel, shape = _matrix_gradients, {'ROWS': rows, 'PADDED': tile.rows}
    launch(
        kernel,
        programs * num_chunks,
        (grad, *grad.stride(), x, *x.stride(), *parts.split(sizes, 1)),
        (entries, total, num_chunks, length, size),
        BLOCK=tile.elements,
        num_warps=tile.num_warps,
        **shape,
    )
    summed = parts[0] if num_chunks == 1 else parts.sum(0)
    dA, db = summed.split(sizes)
    return (
        dA.view(num_samples, entries, rows, rows),
        db.view(num_samples, entries, rows),
    )
