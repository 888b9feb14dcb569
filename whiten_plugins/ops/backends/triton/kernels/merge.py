r"""Moments of parts merge to those of the whole, exactly (Chan et al.).

.. math::
    m = \sum_k w_k m_k, \qquad
    C = \sum_k w_k [ C_k + (m_k - m)(m_k - m)^T ], \qquad
    w_k = M_k / M

Parts are the chunks of a sample's group. The order of all sums is fixed.
"""

import triton
import triton.language as tl


@triton.jit
def _part_weights(part, num_parts, length, size):
    """Return M_k / M of some parts, 0 beyond the last."""
    count = tl.minimum(length, size - part * length).to(tl.float32)
    return tl.where(part < num_parts, count / size, 0.0)


@triton.jit
def _part_means(mean, number, row, ROWS: tl.constexpr, mask):
    """Load means of some rows of some parts, (parts, rows)."""
    offsets = number[:, None] * ROWS + row[None, :]
    mask = mask[:, None] & (row < ROWS)[None, :]
    return tl.load(mean + offsets, mask=mask, other=0.0)


@triton.jit
def merge(
    mean, cov, merged_mean, merged_cov,
    num_parts, stride_part, stride_group, length, size, num_blocks,
    ROWS: tl.constexpr, PADDED: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_PARTS: tl.constexpr,
):  # fmt: skip
    """Merge a block of rows of one group's moments."""
    group = (tl.program_id(0) // num_blocks).to(tl.int64)
    row = tl.program_id(0) % num_blocks * BLOCK + tl.arange(0, BLOCK)
    column = tl.arange(0, PADDED)
    lanes = tl.arange(0, BLOCK_PARTS)
    mean += group * stride_group * ROWS
    cov += group * stride_group * ROWS * ROWS

    total = tl.zeros((PADDED,), tl.float32)
    total_of_rows = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, num_parts, BLOCK_PARTS):
        part = (begin + lanes).to(tl.int64)
        weight = _part_weights(part, num_parts, length, size)
        number, mask = part * stride_part, part < num_parts
        means = _part_means(mean, number, column, ROWS, mask)
        total += tl.sum(weight[:, None] * means, 0)
        means = _part_means(mean, number, row, ROWS, mask)
        total_of_rows += tl.sum(weight[:, None] * means, 0)

    offsets = row[:, None] * ROWS + column[None, :]
    inside = (row[:, None] < ROWS) & (column[None, :] < ROWS)
    spread = tl.zeros((BLOCK, PADDED), tl.float32)
    for begin in range(0, num_parts, BLOCK_PARTS):
        part = (begin + lanes).to(tl.int64)
        weight = _part_weights(part, num_parts, length, size)
        number, mask = part * stride_part, part < num_parts
        across = _part_means(mean, number, column, ROWS, mask) - total
        down = _part_means(mean, number, row, ROWS, mask) - total_of_rows
        covs = tl.load(
            cov + number[:, None, None] * ROWS * ROWS + offsets[None, :, :],
            mask=mask[:, None, None] & inside[None, :, :],
            other=0.0,
        )
        covs += down[:, :, None] * across[:, None, :]
        spread += tl.sum(weight[:, None, None] * covs, 0)

    merged_mean += group * ROWS
    merged_cov += group * ROWS * ROWS
    tl.store(merged_mean + row, total_of_rows, mask=row < ROWS)
    tl.store(merged_cov + offsets, spread, mask=inside)
