"""The linear passes, y = A x + b and dx = A^T g + B x + d.

Both are one kernel over one or two terms: out = A x + B z + b. A is
contiguous and numbered alike with b where B is missing, B with b where it is
not; a stride of 0 repeats coefficients over samples or entries.
"""

import triton
import triton.language as tl

from .tiles import (
    ELEMENTS,
    ENTRIES,
    at,
    extent,
    load_raw,
    load_tile,
    mapped,
    step,
    store_tile,
)
from .tiles import ROWS as INNER_ROWS

_SIZES = tuple(
    (
        'x_n x_e x_row x_m A_n A_e z_n z_e z_row z_m B_n B_e out_n out_e '
        'out_row out_m b_n b_e num_samples num_entries num_tiles size '
        'entry_step tile_step'
    ).split()
)


@triton.jit
def _add_product(
    total, matrix, x, x_row, x_m, element, size,
    ROWS: tl.constexpr, PADDED: tl.constexpr, TRANSPOSE: tl.constexpr,
):  # fmt: skip
    """Add ``matrix @ x``, or its transpose, in slabs of 16 rows."""
    row = tl.arange(0, PADDED)
    for begin in range(0, PADDED, 16):
        slab = begin + tl.arange(0, 16)
        if TRANSPOSE:
            offsets = slab[None, :] * ROWS + row[:, None]
        else:
            offsets = row[:, None] * ROWS + slab[None, :]
        inside = (row[:, None] < ROWS) & (slab[None, :] < ROWS)
        a = tl.load(matrix + offsets, mask=inside, other=0.0)
        mask = (slab[:, None] < ROWS) & (element[None, :] < size)
        tile = load_raw(x, slab.to(tl.int64) * x_row, element * x_m, mask)
        total += mapped(a, tile)
    return total


@triton.jit(do_not_specialize=_SIZES)
def matrix_affine(
    x, x_n, x_e, x_row, x_m, A, A_n, A_e,
    z, z_n, z_e, z_row, z_m, B, B_n, B_e,
    out, out_n, out_e, out_row, out_m, b, b_n, b_e,
    num_entries, entry_step, num_tiles, tile_step, size,
    ROWS: tl.constexpr, PADDED: tl.constexpr, BLOCK: tl.constexpr,
    TRANSPOSE: tl.constexpr, LAYOUT: tl.constexpr, LAYOUT_Z: tl.constexpr,
    LAYOUT_OUT: tl.constexpr,
):  # fmt: skip
    """Compute a tile of one entry of c > 1 rows; z and b may be None."""
    num_entries = extent(num_entries, LAYOUT, ENTRIES)
    size = extent(size, LAYOUT, ELEMENTS)
    program = tl.program_id(0)
    n = program // (num_entries * num_tiles)
    e = program // entry_step % num_entries
    tile = program // tile_step % num_tiles
    element = tile.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    row = tl.arange(0, PADDED)

    total = tl.zeros((PADDED, BLOCK), tl.float32)
    A += at(n, e, A_n, A_e) * ROWS * ROWS
    x += at(n, e, step(x_n, LAYOUT, 0), step(x_e, LAYOUT, ENTRIES))
    total = _add_product(
        total, A, x,
        step(x_row, LAYOUT, INNER_ROWS), step(x_m, LAYOUT, ELEMENTS),
        element, size, ROWS, PADDED, TRANSPOSE,
    )  # fmt: skip
    if z is not None:
        B += at(n, e, B_n, B_e) * ROWS * ROWS
        z += at(n, e, step(z_n, LAYOUT_Z, 0), step(z_e, LAYOUT_Z, ENTRIES))
        total = _add_product(
            total, B, z,
            step(z_row, LAYOUT_Z, INNER_ROWS), step(z_m, LAYOUT_Z, ELEMENTS),
            element, size, ROWS, PADDED, False,
        )  # fmt: skip
    if b is not None:
        b += at(n, e, b_n, b_e) * ROWS
        total += tl.load(b + row, mask=row < ROWS, other=0.0)[:, None]
    out += at(
        n, e, step(out_n, LAYOUT_OUT, 0), step(out_e, LAYOUT_OUT, ENTRIES)
    )
    rows = row.to(tl.int64) * step(out_row, LAYOUT_OUT, INNER_ROWS)
    columns = element * step(out_m, LAYOUT_OUT, ELEMENTS)
    mask = (row[:, None] < ROWS) & (element[None, :] < size)
    store_tile(out, rows, columns, mask, total)


@triton.jit
def _scalar_term(
    x, x_n, x_e, x_m, a, a_n, a_e, n, e, valid, element, mask,
    LAYOUT: tl.constexpr,
):  # fmt: skip
    """Compute ``a x`` for several entries."""
    a = tl.load(a + at(n, e, a_n, a_e), mask=valid, other=0.0)
    rows = at(n, e, step(x_n, LAYOUT, 0), step(x_e, LAYOUT, ENTRIES))
    columns = element * step(x_m, LAYOUT, ELEMENTS)
    return a[:, None] * load_tile(x, rows, columns, mask)


@triton.jit(do_not_specialize=_SIZES)
def scalar_affine(
    x, x_n, x_e, x_row, x_m, A, A_n, A_e,
    z, z_n, z_e, z_row, z_m, B, B_n, B_e,
    out, out_n, out_e, out_row, out_m, b, b_n, b_e,
    num_samples, num_entries, num_tiles, size,
    TILE_ENTRIES: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr,
    LAYOUT_Z: tl.constexpr, LAYOUT_OUT: tl.constexpr,
):  # fmt: skip
    """Compute a tile of several entries of c = 1; z and b may be None."""
    num_entries = extent(num_entries, LAYOUT, ENTRIES)
    size = extent(size, LAYOUT, ELEMENTS)
    program = tl.program_id(0)
    entry = program // num_tiles * TILE_ENTRIES + tl.arange(0, TILE_ENTRIES)
    n, e = entry // num_entries, entry % num_entries
    tile = (program % num_tiles).to(tl.int64)
    element = tile * BLOCK + tl.arange(0, BLOCK)
    valid = n < num_samples
    mask = valid[:, None] & (element[None, :] < size)

    total = _scalar_term(
        x, x_n, x_e, x_m, A, A_n, A_e, n, e, valid, element, mask, LAYOUT
    )
    if z is not None:
        total += _scalar_term(
            z, z_n, z_e, z_m, B, B_n, B_e, n, e, valid, element, mask,
            LAYOUT_Z,
        )  # fmt: skip
    if b is not None:
        b += at(n, e, b_n, b_e)
        total += tl.load(b, mask=valid, other=0.0)[:, None]
    rows = at(
        n, e, step(out_n, LAYOUT_OUT, 0), step(out_e, LAYOUT_OUT, ENTRIES)
    )
    columns = element * step(out_m, LAYOUT_OUT, ELEMENTS)
    store_tile(out, rows, columns, mask, total)
