"""What the kernels share: tiles of a strided view, products in float32.

Strides and sizes come as :mod:`..layouts` passes them.
"""

import os

import triton
import triton.language as tl

PRECISION = tl.constexpr('ieee')
"""Full float32 in every product of float32, never tf32."""

INTERPRETED = tl.constexpr(os.environ.get('TRITON_INTERPRET') == '1')
"""Whether these run in the interpreter, which has no bfloat16 products."""

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
    if LAYOUT != 2 * DIMENSION + 1:
        result = size
    elif DIMENSION == ELEMENTS:  # of all samples, more than 2^31 perhaps
        result = size.to(tl.int64) * 16
    else:
        result = size * 16
    return result


@triton.jit
def product(a, b):
    """Return ``a @ b`` in float32."""
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def _dot(a, b):
    """Return ``a @ b`` of half precision, with float32 sums."""
    if INTERPRETED:
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b)


@triton.jit
def raw_product(a, b):
    """Return ``a @ b`` of activations in their dtype, in float32.

    Tensor cores multiply those of half precision exactly.
    """
    if a.dtype == tl.float32:
        result = product(a, b)
    else:
        result = _dot(a, b)
    return result


@triton.jit
def _split(x):
    """Return two bfloat16 whose sum has 16 bits of float32."""
    high = x.to(tl.bfloat16)
    return high, (x - high.to(tl.float32)).to(tl.bfloat16)


@triton.jit
def gram_of(tile, WIDE: tl.constexpr):
    """Return ``tile @ tile.T`` of centred activations, in float32.

    Activations of half precision have three bfloat16 each, multiplied in
    tensor cores with float32 sums. ``WIDE`` for those of float32.
    """
    if WIDE:
        result = product(tile, tl.trans(tile))
    else:
        high, _ = _split(tile)
        middle, low = _split(tile - high.to(tl.float32))
        result = _dot(low, tl.trans(high))
        result = result + _dot(high, tl.trans(low))
        result = result + _dot(middle, tl.trans(middle))
        result = result + _dot(middle, tl.trans(high))
        result = result + _dot(high, tl.trans(middle))
        result = result + _dot(high, tl.trans(high))
    return result


@triton.jit
def mapped(a, x):
    """Return ``a @ x`` in float32.

    Beside activations of half precision, a has three bfloat16 for each
    number, which lose nothing; float16 is the sum of two, exactly.

    Args:
        a: float32.
        x: activations in their dtype.
    """
    if x.dtype == tl.float32:
        result = product(a, x)
    else:
        first, _ = _split(a)
        second, third = _split(a - first.to(tl.float32))
        if x.dtype == tl.bfloat16:
            result = _dot(third, x)
            result = result + _dot(second, x)
            result = result + _dot(first, x)
        else:
            high, low = _split(x.to(tl.float32))
            result = _dot(second, low)
            result = result + _dot(first, low)
            result = result + _dot(third, high)
            result = result + _dot(second, high)
            result = result + _dot(first, high)
    return result


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
def load_raw(x, rows, columns, mask):
    """Load a tile in its dtype, 0 outside the mask.

    Args:
        x: pointer.
        rows: offsets of the rows in memory, (R,).
        columns: offsets of the elements, (M,).
        mask: (R, M).
    """
    return tl.load(x + rows[:, None] + columns[None, :], mask=mask, other=0.0)


@triton.jit
def load_tile(x, rows, columns, mask):
    """Load a tile as float32; arguments as load_raw's."""
    return load_raw(x, rows, columns, mask).to(tl.float32)


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
