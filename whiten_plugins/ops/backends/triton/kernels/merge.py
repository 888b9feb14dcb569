r"""Moments of parts merge to those of the whole, exactly (Chan et al.).

.. math::
    m = \sum_k w_k m_k, \qquad
    C = \sum_k w_k [ C_k + (m_k - m)(m_k - m)^T ], \qquad
    w_k = M_k / M

Parts are chunks of entries: those of one sample's group, or of all samples'.
The order of all sums is fixed.
"""

import triton
import triton.language as tl

_SIZES = tuple(
    (
        'num_samples num_groups num_entries num_slots num_chunks length size '
        'num_blocks'
    ).split()
)


@triton.jit
def _part_weights(part, num_parts, num_chunks, length, size):
    """Return the elements of some parts, 0 beyond the last."""
    begin = (part % num_chunks) * length
    count = tl.minimum(length, size - begin).to(tl.float32)
    return tl.where(part < num_parts, count, 0.0)


@triton.jit
def _part_means(mean, number, row, ROWS: tl.constexpr, mask):
    """Load means of some rows of some parts, (parts, rows)."""
    offsets = number[:, None] * ROWS + row[None, :]
    mask = mask[:, None] & (row < ROWS)[None, :]
    return tl.load(mean + offsets, mask=mask, other=0.0)


@triton.jit(do_not_specialize=_SIZES)
def merge(
    mean, cov, sample_mean, sample_cov, batch_mean, batch_cov, counted,
    num_samples, num_groups, num_entries, num_slots,
    num_chunks, length, size, num_blocks,
    ROWS: tl.constexpr, PADDED: tl.constexpr,
    BLOCK: tl.constexpr, BLOCK_PARTS: tl.constexpr,
):  # fmt: skip
    """Merge a block of rows of one group's moments.

    The groups of each sample come first, then those of the batch; either may
    be None. A group has ``num_slots`` entries of a sample, of its
    ``num_entries``. ``counted``, if it is given, becomes 0.
    """
    program = tl.program_id(0)
    if counted is not None:
        tl.store(counted, 0, mask=program == 0)
    unit = program // num_blocks
    group = unit % num_groups
    first_sample = unit // num_groups
    of_batch = batch_mean is not None
    samples = num_samples
    if sample_mean is not None:
        of_batch = first_sample == num_samples
        samples = tl.where(of_batch, num_samples, 1)
        first_sample = tl.where(of_batch, 0, first_sample)
    first = first_sample * num_entries + group * num_slots
    per_sample = num_slots * num_chunks
    num_parts = samples * per_sample
    total_size = size.to(tl.float32) * num_slots * samples

    row = program % num_blocks * BLOCK + tl.arange(0, BLOCK)
    column = tl.arange(0, PADDED)
    lanes = tl.arange(0, BLOCK_PARTS)
    total = tl.zeros((PADDED,), tl.float32)
    total_of_rows = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, num_parts, BLOCK_PARTS):
        part = begin + lanes
        weight = _part_weights(part, num_parts, num_chunks, length, size)
        weight = weight / total_size
        number = (first + part // per_sample * num_entries).to(tl.int64)
        number = number * num_chunks + part % per_sample
        mask = part < num_parts
        means = _part_means(mean, number, column, ROWS, mask)
        total += tl.sum(weight[:, None] * means, 0)
        means = _part_means(mean, number, row, ROWS, mask)
        total_of_rows += tl.sum(weight[:, None] * means, 0)

    offsets = row[:, None] * ROWS + column[None, :]
    inside = (row[:, None] < ROWS) & (column[None, :] < ROWS)
    spread = tl.zeros((BLOCK, PADDED), tl.float32)
    for begin in range(0, num_parts, BLOCK_PARTS):
        part = begin + lanes
        weight = _part_weights(part, num_parts, num_chunks, length, size)
        weight = weight / total_size
        number = (first + part // per_sample * num_entries).to(tl.int64)
        number = number * num_chunks + part % per_sample
        mask = part < num_parts
        across = _part_means(mean, number, column, ROWS, mask) - total
        down = _part_means(mean, number, row, ROWS, mask) - total_of_rows
        covs = tl.load(
            cov + number[:, None, None] * ROWS * ROWS + offsets[None, :, :],
            mask=mask[:, None, None] & inside[None, :, :],
            other=0.0,
        )
        covs += down[:, :, None] * across[:, None, :]
        spread += tl.sum(weight[:, None, None] * covs, 0)

    # An integer bound for `of_batch`: a scalar truth that is broadcast to a
    # mask is an integer in Triton's interpreter, which 3.9 refuses.
    if sample_mean is not None:
        bound = tl.where(of_batch, 0, ROWS)
        number = (first_sample * num_groups + group).to(tl.int64) * ROWS
        tl.store(sample_mean + number + row, total_of_rows, mask=row < bound)
        number *= ROWS
        kept = inside & (row[:, None] < bound)
        tl.store(sample_cov + number + offsets, spread, mask=kept)
    if batch_mean is not None:
        bound = tl.where(of_batch, ROWS, 0)
        number = group.to(tl.int64) * ROWS
        tl.store(batch_mean + number + row, total_of_rows, mask=row < bound)
        number *= ROWS
        kept = inside & (row[:, None] < bound)
        tl.store(batch_cov + number + offsets, spread, mask=kept)
