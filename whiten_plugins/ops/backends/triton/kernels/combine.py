r"""From the stage's gradients to B and d of dx = A^T g + B x + d.

.. math::
    B = \sum_k (dC_k + dC_k^T) / M_k, \qquad
    d = \sum_k ( dm_k / M_k - (dC_k + dC_k^T) m_k / M_k )

over the moments of the sample and of the batch. What samples share is summed
over them here: gradients of the batch's moments, of weight, bias and logits.
"""

import triton
import triton.language as tl

from .matrices import identity, load_moments, store_moments
from .mixture import layer_moments, scaled
from .tiles import sum_of_parts

_SIZES = tuple(
    (
        'num_samples stride size total num_channels num_blocks num_groups '
        'num_slots num_logits num_parts num_ratios'
    ).split()
)


@triton.jit
def _store_sums(
    parts, out, first, count, num_samples, stride, BLOCK: tl.constexpr
):
    """Store sums over samples of ``count`` numbers, from ``first`` on."""
    if out is not None:
        for begin in range(0, count, BLOCK):
            lane = begin + tl.arange(0, BLOCK)
            valid = lane < count
            value = sum_of_parts(
                parts, first + lane, num_samples, stride, valid
            )
            value = value.to(out.dtype.element_ty)
            tl.store(out + first + lane, value, mask=valid)


@triton.jit
def _store_logits(
    parts, d_mean_logits, d_cov_logits, ratio, num_samples, stride,
    num_parts, num_ratios, num_logits,
):  # fmt: skip
    """Store the gradients of one group of logits.

    A sample has ``num_parts`` parts of 16 numbers for all groups.
    """
    lanes, k = tl.arange(0, 64), tl.arange(0, 16)
    per_ratio = num_parts // num_ratios
    total = tl.zeros((16,), tl.float32)
    for begin in range(0, num_samples * per_ratio, 64):
        number = begin + lanes
        part = ratio * per_ratio + number % per_ratio
        offsets = (number // per_ratio).to(tl.int64) * stride + part * 16
        mask = number < num_samples * per_ratio
        values = tl.load(
            parts + offsets[:, None] + k[None, :],
            mask=mask[:, None],
            other=0.0,
        )
        total += tl.sum(values, 0)
    place = ratio * num_logits + k
    if d_mean_logits is not None:
        value = total.to(d_mean_logits.dtype.element_ty)
        tl.store(d_mean_logits + place, value, mask=k < num_logits)
    if d_cov_logits is not None:
        value = total.to(d_cov_logits.dtype.element_ty)
        mask = (k >= 8) & (k - 8 < num_logits)
        tl.store(d_cov_logits + place - 8, value, mask=mask)


@triton.jit
def _scalar_source(mean, d_mean, d_var, count):
    """Return B and d through one mean and variance."""
    slope = 2 * d_var / count
    return slope, d_mean / count - scaled(slope, mean)


@triton.jit(do_not_specialize=_SIZES)
def scalar_combine(
    sample_mean, d_sample_mean, d_sample_var,
    batch_mean, d_batch_mean, d_batch_var,
    d_weight, d_bias, d_logits,
    B, d, weight, bias, mean_logits, cov_logits,
    num_samples, stride, size, total, num_channels, num_blocks,
    num_logits, num_parts, num_ratios, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute B and d of a block of one sample's channels.

    The programs of sample 0 also store the gradients of weight and bias,
    and ``num_ratios`` more programs those of the logits.
    """
    program = tl.program_id(0)
    n, block = program // num_blocks, program % num_blocks
    if n < num_samples:
        channel = block * BLOCK + tl.arange(0, BLOCK)
        valid = channel < num_channels
        number = n.to(tl.int64) * num_channels + channel
        slope = tl.zeros((BLOCK,), tl.float32)
        shift = tl.zeros((BLOCK,), tl.float32)
        if sample_mean is not None:
            more, more_of_shift = _scalar_source(
                tl.load(sample_mean + number, mask=valid, other=0.0),
                tl.load(d_sample_mean + number, mask=valid, other=0.0),
                tl.load(d_sample_var + number, mask=valid, other=0.0),
                size,
            )
            slope += more
            shift += more_of_shift
        if batch_mean is not None:
            more, more_of_shift = _scalar_source(
                tl.load(batch_mean + channel, mask=valid, other=0.0),
                sum_of_parts(
                    d_batch_mean, channel, num_samples, stride, valid
                ),
                sum_of_parts(d_batch_var, channel, num_samples, stride, valid),
                total,
            )
            slope += more
            shift += more_of_shift
        tl.store(B + number, slope, mask=valid)
        tl.store(d + number, shift, mask=valid)
        if n == 0:
            count = tl.minimum(BLOCK, num_channels - block * BLOCK)
            first = block * BLOCK
            _store_sums(
                d_weight, weight, first, count, num_samples, stride, BLOCK
            )
            _store_sums(d_bias, bias, first, count, num_samples, stride, BLOCK)
    elif d_logits is not None:
        _store_logits(
            d_logits, mean_logits, cov_logits,
            program - num_samples * num_blocks, num_samples, stride,
            num_parts, num_ratios, num_logits,
        )  # fmt: skip


@triton.jit
def _matrix_source(mean, d_mean, d_cov, count):
    """Return B and d through one mean and covariance."""
    slope = (d_cov + tl.trans(d_cov)) / count
    return slope, d_mean / count - tl.sum(scaled(slope, mean[None, :]), 1)


@triton.jit
def _layer_gradients(
    d_layer, sample_mean, sample_cov, n, g, row, num_groups,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Return what ``ln`` adds to a group's gradients: of means, of variance.

    Args:
        d_layer: gradients of the ln mean and variance from each group,
            (N, G, 2).
        sample_mean: means of all samples, (N, G, c).
        sample_cov: covariances of all samples, (N, G, c, c).
        n: number of the sample.
        g: number of the group.
        row: numbers of the rows, padded.
        num_groups: G.
        ROWS: c.
    """
    channels = num_groups * ROWS
    lanes = tl.arange(0, 128)
    d_mu = tl.zeros((128,), tl.float32)
    d_variance = tl.zeros((128,), tl.float32)
    for begin in range(0, num_groups, 128):
        pair = d_layer + (n * num_groups + begin + lanes) * 2
        mask = begin + lanes < num_groups
        d_mu += tl.load(pair, mask=mask, other=0.0)
        d_variance += tl.load(pair + 1, mask=mask, other=0.0)
    d_mu = tl.sum(d_mu, 0) / channels
    d_variance = tl.sum(d_variance, 0) / channels
    mu, _ = layer_moments(sample_mean, sample_cov, n, channels, ROWS)
    place = (n.to(tl.int64) * num_groups + g) * ROWS + row
    mean = tl.load(sample_mean + place, mask=row < ROWS, other=0.0)
    d_mean = d_mu + scaled(2 * d_variance, mean - mu)
    return tl.where(row < ROWS, d_mean, 0.0), d_variance


@triton.jit(do_not_specialize=_SIZES)
def matrix_combine(
    sample_mean, sample_cov, d_sample_mean, d_sample_cov, d_layer,
    batch_mean, batch_cov, d_batch_mean, d_batch_cov,
    d_weight, d_bias, d_logits,
    B, d, weight, bias, mean_logits, cov_logits,
    num_samples, stride, size, total, num_groups, num_slots,
    num_logits, num_parts, num_ratios,
    LN: tl.constexpr, ROWS: tl.constexpr, PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute B and d of one group of one sample.

    The programs of sample 0 also store the gradients of weight and bias,
    and ``num_ratios`` more programs those of the logits.
    """
    program = tl.program_id(0)
    n, g = program // num_groups, program % num_groups
    if n < num_samples:
        row = tl.arange(0, PADDED)
        slope = tl.zeros((PADDED, PADDED), tl.float32)
        shift = tl.zeros((PADDED,), tl.float32)
        if sample_mean is not None:
            vector, matrix = load_moments(
                d_sample_mean, d_sample_cov, program, row, ROWS
            )
            if LN >= 0:
                more, variance = _layer_gradients(
                    d_layer, sample_mean, sample_cov, n, g, row, num_groups,
                    ROWS,
                )  # fmt: skip
                vector += more
                matrix += variance * identity(row, ROWS)
            mean, _ = load_moments(sample_mean, sample_cov, program, row, ROWS)
            slope, shift = _matrix_source(mean, vector, matrix, size)
        if batch_mean is not None:
            vector = tl.zeros((PADDED,), tl.float32)
            matrix = tl.zeros((PADDED, PADDED), tl.float32)
            for _ in range(0, num_samples):
                more, more_of_matrix = load_moments(
                    d_batch_mean, d_batch_cov, g, row, ROWS
                )
                vector += more
                matrix += more_of_matrix
                d_batch_mean += stride
                d_batch_cov += stride
            mean, _ = load_moments(batch_mean, batch_cov, g, row, ROWS)
            more, more_of_shift = _matrix_source(mean, vector, matrix, total)
            slope += more
            shift += more_of_shift
        store_moments(d, B, program, row, shift, slope, ROWS)
        if n == 0:
            count = ROWS * num_slots
            first = g * count
            _store_sums(
                d_weight, weight, first, count, num_samples, stride, BLOCK
            )
            _store_sums(d_bias, bias, first, count, num_samples, stride, BLOCK)
    elif d_logits is not None:
        _store_logits(
            d_logits, mean_logits, cov_logits,
            program - num_samples * num_groups, num_samples, stride,
            num_parts, num_ratios, num_logits,
        )  # fmt: skip
