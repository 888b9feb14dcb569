r"""Mixing, Newton–Schulz and the folding of weight and bias for c > 1.

One program holds the matrices of one group of one sample, or of the batch
where no statistic is a sample's own. The slots of a row (GW: the channels of
a group) share W and differ in weight and bias; elsewhere a row has one slot.
Row r of slot s in group g is channel (g c + r) slots + s, in entry
g slots + s.
"""

import triton
import triton.language as tl

from .matrices import (
    identity,
    load_moments,
    mix,
    source_gradients,
    store_moments,
)
from .mixture import (
    layer_moments,
    placed,
    scaled,
    share,
    store_logit_gradients,
)
from .newton import newton_schulz, newton_schulz_backward, sum_of
from .running import averaged, count_batch
from .tiles import square

_SIZES = tuple(
    (
        'num_groups num_logits groups_per_ratio num_slots stride num_chunks '
        'chunk_stride'
    ).split()
)


@triton.jit
def _load_weight(weight, channel, inside):
    """Load the weights of some channels, 1 where the norm has none."""
    values = inside.to(tl.float32)
    if weight is not None:
        values = tl.load(weight + channel, mask=inside, other=0.0)
    return values.to(tl.float32)


@triton.jit
def _track(
    batch_mean, batch_cov, whitening, running_mean, running_cov, momentum,
    num_batches, counted, g, row, ROWS: tl.constexpr, MATRIX: tl.constexpr,
):  # fmt: skip
    """Update the running statistics of one group."""
    offsets, inside = square(row, ROWS)
    mean, kept = load_moments(batch_mean, batch_cov, g, row, ROWS)
    if MATRIX:
        kept = whitening
    channel = g.to(tl.int64) * ROWS
    finite = averaged(
        running_mean + channel + row, mean,
        running_cov + channel * ROWS + offsets, kept,
        tl.sum(mean, 0) + sum_of(kept), momentum, row < ROWS, inside,
    )  # fmt: skip
    count_batch(num_batches, counted, finite.to(tl.int32))


@triton.jit(do_not_specialize=_SIZES)
def matrix_forward(
    sample_mean, sample_cov, batch_mean, batch_cov,
    weight, bias, mean_logits, cov_logits, A, b, W,
    running_mean, running_cov, num_batches, counted, scratch,
    num_groups, num_logits, groups_per_ratio, eps, num_slots, momentum,
    IW: tl.constexpr, IN: tl.constexpr, LN: tl.constexpr,
    BW: tl.constexpr, BN: tl.constexpr, HARD: tl.constexpr,
    MATRIX: tl.constexpr,
    T: tl.constexpr, ROWS: tl.constexpr, PADDED: tl.constexpr,
):  # fmt: skip
    """Compute A, b and W of one group."""
    program = tl.program_id(0)
    n, g = program // num_groups, program % num_groups
    row = tl.arange(0, PADDED)
    offsets, inside = square(row, ROWS)
    eye = identity(row, ROWS)
    mean, cov, _, _ = mix(
        sample_mean, sample_cov, batch_mean, batch_cov,
        mean_logits, cov_logits,
        n, g, num_groups, num_logits, groups_per_ratio, row, eye, eps,
        IW, IN, LN, BW, BN, HARD, ROWS,
    )  # fmt: skip
    if scratch is not None:
        scratch += program.to(tl.int64) * (2 * PADDED * PADDED)
    padded = row[:, None] * PADDED + row[None, :]
    whitening, _, _ = newton_schulz(cov, eye, padded, None, scratch, T)
    W += program.to(tl.int64) * ROWS * ROWS
    tl.store(W + offsets, whitening, mask=inside)
    for slot in range(0, num_slots):
        channel = (g * ROWS + row) * num_slots + slot
        gamma = _load_weight(weight, channel, row < ROWS)
        matrix = gamma[:, None] * whitening
        vector = -tl.sum(matrix * mean[None, :], 1)
        if bias is not None:
            beta = tl.load(bias + channel, mask=row < ROWS, other=0.0)
            vector += beta.to(tl.float32)
        number = program * num_slots + slot
        store_moments(b, A, number, row, vector, matrix, ROWS)
    if running_mean is not None:
        if n == 0:
            _track(
                batch_mean, batch_cov, whitening, running_mean, running_cov,
                momentum, num_batches, counted, g, row, ROWS, MATRIX,
            )  # fmt: skip


@triton.jit
def _sum_of_chunks(
    db, dA, number, row, num_chunks, stride, ROWS: tl.constexpr
):
    """Sum what the chunks hold for an entry, in a fixed order."""
    vector, matrix = load_moments(db, dA, number, row, ROWS)
    for _ in range(1, num_chunks):
        db += stride
        dA += stride
        more, more_of_matrix = load_moments(db, dA, number, row, ROWS)
        vector += more
        matrix += more_of_matrix
    return vector, matrix


@triton.jit
def _unfold(
    dA, db, weight, A, d_weight, d_bias, mean, whitening,
    n, g, row, num_groups, num_slots, num_chunks, chunk_stride,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Return the gradients of the mixed mean and of W.

    A is written once more, with the gradients of weight and bias.
    """
    offsets, inside = square(row, ROWS)
    entries = num_groups * num_slots
    d_mean = tl.zeros(row.shape, tl.float32)
    d_whitening = tl.zeros_like(whitening)
    for slot in range(0, num_slots):
        entry = g * num_slots + slot
        channel = (g * ROWS + row) * num_slots + slot
        gamma = _load_weight(weight, channel, row < ROWS)
        matrix = gamma[:, None] * whitening
        number = (n * entries + entry).to(tl.int64)
        tl.store(A + number * ROWS * ROWS + offsets, matrix, mask=inside)
        d_vector, d_matrix = _sum_of_chunks(
            db, dA, number, row, num_chunks, chunk_stride, ROWS
        )
        # through b = bias - A mean
        d_matrix -= d_vector[:, None] * mean[None, :]
        d_mean -= tl.sum(matrix * d_vector[:, None], 0)
        d_whitening += gamma[:, None] * d_matrix
        if d_weight is not None:
            d_gamma = tl.sum(d_matrix * whitening, 1)
            tl.store(d_weight + channel, d_gamma, mask=row < ROWS)
        if d_bias is not None:
            tl.store(d_bias + channel, d_vector, mask=row < ROWS)
    return d_mean, d_whitening


@triton.jit(do_not_specialize=_SIZES)
def matrix_backward(
    dA, db, sample_mean, sample_cov, batch_mean, batch_cov,
    weight, mean_logits, cov_logits, A, d_sample_mean, d_sample_cov,
    d_batch_mean, d_batch_cov, d_weight, d_bias, d_logits, d_layer, scratch,
    stride, num_groups, num_logits, groups_per_ratio, eps,
    num_chunks, chunk_stride, num_slots,
    IW: tl.constexpr, IN: tl.constexpr, LN: tl.constexpr,
    BW: tl.constexpr, BN: tl.constexpr, HARD: tl.constexpr,
    T: tl.constexpr, ROWS: tl.constexpr, PADDED: tl.constexpr,
):  # fmt: skip
    """Compute A once more and the gradients of one group.

    Gradients that samples share, from ``d_batch_mean`` on, are written for
    each n by itself, ``stride`` apart, and summed later. dA and db are sums
    of chunks. Those through ``ln`` concern all groups: ``d_layer`` (N, G, 2)
    takes what comes from each, to be added later. ``scratch``
    (N, G, 3 T, P, P) holds two operands and the Newton iterates.
    """
    program = tl.program_id(0)
    n, g = program // num_groups, program % num_groups
    shared = n.to(tl.int64) * stride
    row = tl.arange(0, PADDED)
    eye = identity(row, ROWS)
    mean, cov, mean_ratios, cov_ratios = mix(
        sample_mean, sample_cov, batch_mean, batch_cov,
        mean_logits, cov_logits,
        n, g, num_groups, num_logits, groups_per_ratio, row, eye, eps,
        IW, IN, LN, BW, BN, HARD, ROWS,
    )  # fmt: skip
    buffer = scratch + program.to(tl.int64) * (3 * T * PADDED * PADDED)
    iterates = buffer + 2 * PADDED * PADDED
    padded = row[:, None] * PADDED + row[None, :]
    whitening, S, trace = newton_schulz(cov, eye, padded, iterates, buffer, T)
    if d_weight is not None:
        d_weight += shared
    if d_bias is not None:
        d_bias += shared
    d_mean, d_whitening = _unfold(
        dA, db, weight, A, d_weight, d_bias, mean, whitening,
        n, g, row, num_groups, num_slots, num_chunks, chunk_stride, ROWS,
    )  # fmt: skip
    d_cov = newton_schulz_backward(
        d_whitening, whitening, S, trace, eye, padded, iterates, buffer, T
    )
    of_mean = tl.zeros_like(mean_ratios)
    of_cov = tl.zeros_like(cov_ratios)
    if sample_mean is not None:
        more_of_mean, more_of_cov = source_gradients(
            sample_mean, sample_cov, program,
            d_sample_mean, d_sample_cov, program,
            d_mean, d_cov, mean_ratios, cov_ratios, row, eye, IW, IN, ROWS,
        )  # fmt: skip
        of_mean += more_of_mean
        of_cov += more_of_cov
    if batch_mean is not None:
        more_of_mean, more_of_cov = source_gradients(
            batch_mean, batch_cov, g,
            d_batch_mean + shared, d_batch_cov + shared, g,
            d_mean, d_cov, mean_ratios, cov_ratios, row, eye, BW, BN, ROWS,
        )  # fmt: skip
        of_mean += more_of_mean
        of_cov += more_of_cov
    if LN >= 0:
        mu, variance = layer_moments(
            sample_mean, sample_cov, n, num_groups * ROWS, ROWS
        )
        d_mu, d_variance = tl.sum(d_mean, 0), sum_of(d_cov * eye)
        of_mean += placed(d_mu * mu, LN)
        of_cov += placed(d_variance * variance, LN)
        tl.store(
            d_layer + program * 2 + tl.arange(0, 1),
            scaled(share(mean_ratios, LN), d_mu),
        )
        tl.store(
            d_layer + program * 2 + 1 + tl.arange(0, 1),
            scaled(share(cov_ratios, LN), d_variance),
        )
    if d_logits is not None:
        number = g + tl.arange(0, 1)
        store_logit_gradients(
            d_logits + shared, number, mean_ratios, of_mean,
            cov_ratios, of_cov, number >= 0, False,
        )  # fmt: skip


@triton.jit(do_not_specialize=('num_groups',))
def add_layer_gradients(
    d_layer, sample_mean, sample_cov, d_sample_mean, d_sample_cov,
    num_groups, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Add what reaches a sample's moments through ``ln``.

    Args:
        d_layer: gradients of the ln mean and variance from each group,
            (N, G, 2).
        sample_mean: means of all samples, (N, G, c).
        sample_cov: covariances of all samples, (N, G, c, c).
        d_sample_mean: gradients of the means, added to.
        d_sample_cov: gradients of the covariances, added to.
        num_groups: G.
        ROWS: c.
        BLOCK: groups or channels taken at a time.
    """
    n = tl.program_id(0)
    channels = num_groups * ROWS
    lanes = tl.arange(0, BLOCK)
    d_mu = tl.zeros((BLOCK,), tl.float32)
    d_variance = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, num_groups, BLOCK):
        g = begin + lanes
        pair = d_layer + (n * num_groups + g) * 2
        d_mu += tl.load(pair, mask=g < num_groups, other=0.0)
        d_variance += tl.load(pair + 1, mask=g < num_groups, other=0.0)
    d_mu = tl.sum(d_mu, 0) / channels
    d_variance = tl.sum(d_variance, 0) / channels
    mu, _ = layer_moments(sample_mean, sample_cov, n, channels, ROWS)
    for begin in range(0, channels, BLOCK):
        channel = begin + lanes
        mask = channel < channels
        number = n.to(tl.int64) * channels + channel
        offset = tl.load(sample_mean + number, mask=mask, other=0.0) - mu
        d_mean = tl.load(d_sample_mean + number, mask=mask, other=0.0)
        d_mean += d_mu + scaled(2 * d_variance, offset)
        tl.store(d_sample_mean + number, d_mean, mask=mask)
        diagonal = d_sample_cov + number * ROWS + channel % ROWS
        d_cov = tl.load(diagonal, mask=mask, other=0.0) + d_variance
        tl.store(diagonal, d_cov, mask=mask)
