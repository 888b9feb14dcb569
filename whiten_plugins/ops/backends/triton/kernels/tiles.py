"""What the kernels share: tiles of a strided view, products in float32."""

import triton
import triton.language as tl

PRECISION = tl.constexpr('ieee')
"""Full float32 in every product, never tf32."""


@triton.jit
def product(a, b):
    """``a @ b`` in float32."""
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def load_tile(x, rows, elements, stride, mask):
    """A float32 tile, 0 outside the mask.

    Args:
        x: pointer.
        rows: offsets of the rows in memory, (R,).
        elements: indices of the elements, (M,).
        stride: of an element.
        mask: (R, M).
    """
    offsets = rows[:, None] + elements[None, :] * stride
    return tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def store_tile(out, rows, elements, stride, mask, values):
    """Writes a tile in the dtype of ``out``; arguments as load_tile's."""
    offsets = rows[:, None] + elements[None, :] * stride
    tl.store(out + offsets, values.to(out.dtype.element_ty), mask=mask)


@triton.jit
def chunk_bounds(chunk, length, size):
    """First and last element (exclusive) of a chunk, as int64."""
    start = chunk.to(tl.int64) * length
    return start, tl.minimum(start + length, size)


@triton.jit
def at(sample, entry, stride_sample, stride_entry):
    """Offset of an entry of an (N, E, ...) view, as int64."""
    return (
        sample.to(tl.int64) * stride_sample + entry.to(tl.int64) * stride_entry
    )


@triton.jit
def square(row, width: tl.constexpr):
    """Offsets and mask of a (width, width) matrix, padded to len(row)."""
    inside = (row[:, None] < width) & (row[None, :] < width)
    return row[:, None] * width + row[None, :], inside


@triton.jit
def sum_samples(x, count, stride, offsets, inside, BLOCK: tl.constexpr):
    """Sum of a matrix over samples, ``BLOCK`` of them at a time.

    Args:
        x: pointer to the first sample's matrix, float32.
        count: number of samples.
        stride: from a sample to the next.
        offsets: of the matrix in memory, (R, C).
        inside: mask, (R, C).
    """
    lanes = tl.arange(0, BLOCK)
    total = tl.zeros(offsets.shape, tl.float32)
    for begin in range(0, count, BLOCK):
        sample = begin + lanes
        mask = (sample < count)[:, None, None] & inside[None, :, :]
        start = (sample.to(tl.int64) * stride)[:, None, None]
        loaded = tl.load(x + start + offsets[None, :, :], mask=mask, other=0.0)
        total += tl.sum(loaded, 0)
    return total
