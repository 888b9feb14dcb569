"""What the kernels share: tiles of a strided view, products in float32."""

import triton
import triton.language as tl

PRECISION = tl.constexpr('ieee')
"""Full float32 in every product, never tf32."""


@triton.jit
def product(a, b):
    """Return ``a @ b`` in float32."""
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def columns_of(element, width, x_n, x_m, SHARED: tl.constexpr):
    """Return the offsets of elements in memory.

    Args:
        element: their numbers in a sample; if SHARED, through all samples.
        width: elements of a sample.
        x_n: stride of a sample.
        x_m: stride of an element.
        SHARED: whether all samples are taken together.
    """
    if SHARED:
        offsets = element // width * x_n + element % width * x_m
    else:
        offsets = element * x_m
    return offsets


@triton.jit
def load_tile(x, rows, columns, mask):
    """Load a tile as float32, 0 outside the mask.

    Args:
        x: pointer.
        rows: offsets of the rows in memory, (R,).
        columns: offsets of the elements, (M,).
        mask: (R, M).
    """
    offsets = rows[:, None] + columns[None, :]
    return tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def store_tile(out, rows, columns, mask, values):
    """Store a tile in the dtype of ``out``; arguments as load_tile's."""
    offsets = rows[:, None] + columns[None, :]
    tl.store(out + offsets, values.to(out.dtype.element_ty), mask=mask)


@triton.jit
def chunk_bounds(chunk, length, size):
    """Return the first and last element (exclusive) of a chunk, as int64."""
    start = chunk.to(tl.int64) * length
    return start, tl.minimum(start + length, size)


@triton.jit
def at(sample, entry, stride_sample, stride_entry):
    """Return the offset of an entry of an (N, E, ...) view, as int64."""
    return (
        sample.to(tl.int64) * stride_sample + entry.to(tl.int64) * stride_entry
    )


@triton.jit
def square(row, width: tl.constexpr):
    """Return offsets and mask of a (width, width) matrix.

    Both are padded to len(row).
    """
    inside = (row[:, None] < width) & (row[None, :] < width)
    return row[:, None] * width + row[None, :], inside
