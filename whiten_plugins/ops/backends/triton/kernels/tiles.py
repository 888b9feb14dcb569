"""What the kernels share: tiles of a strided view, products in float32.

Strides and sizes come as :mod:`..layouts` passes them.
"""

import triton
import triton.language as tl

PRECISION = tl.constexpr('ieee')
"""Full float32 in every product, never tf32."""

ENTRIES = tl.constexpr(1)
ROWS = tl.constexpr(2)
ELEMENTS = tl.constexpr(3)


@triton.jit
def step(stride, LAYOUT: tl.constexpr, DIMENSION: tl.constexpr):
    """Return a stride in elements: 1, a multiple of 16 or any number."""
    if LAYOUT // 2 == DIMENSION:
        result = tl.full((), 1, tl.int64)
    elif LAYOUT % 2 == 1:
        result = stride.to(tl.int64) * 16
    else:
        result = stride.to(tl.int64)
    return result


@triton.jit
def extent(size, LAYOUT: tl.constexpr, DIMENSION: tl.constexpr):
    """Return the size of a dimension, a multiple of 16 where aligned."""
    if LAYOUT == 2 * DIMENSION + 1:
        result = size * 16
    else:
        result = size
    return result


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
def chunk_start(chunk, num_tiles, BLOCK: tl.constexpr):
    """Return the first element of a chunk of tiles, as int64."""
    return chunk.to(tl.int64) * num_tiles * BLOCK


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


@triton.jit
def sum_of_parts(parts, number, num_parts, stride, valid):
    """Sum some numbers over parts that lie ``stride`` apart, in their order.

    Args:
        parts: pointer, float32.
        number: which numbers of a part, (B,).
        num_parts: how many parts.
        stride: from a part to the next.
        valid: which numbers there are, (B,); 0 for the others.
    """
    lanes = tl.arange(0, 16)
    total = tl.zeros(number.shape, tl.float32)
    for begin in range(0, num_parts, 16):
        part = (begin + lanes)[:, None]
        offsets = part.to(tl.int64) * stride + number[None, :]
        mask = (part < num_parts) & valid[None, :]
        total += tl.sum(tl.load(parts + offsets, mask=mask, other=0.0), 0)
    return total
