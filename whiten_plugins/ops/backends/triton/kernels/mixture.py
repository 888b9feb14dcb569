"""Importance ratios and the ``ln`` statistic inside a kernel.

Kernels know statistics by their positions among the ratio logits: ``IW``,
``IN``, ``LN``, ``BW``, ``BN``; -1 for one that is absent or not active.
"""

import triton
import triton.language as tl


@triton.jit
def importance_ratios(
    logits, row, num_logits,
    IW: tl.constexpr, IN: tl.constexpr, LN: tl.constexpr,
    BW: tl.constexpr, BN: tl.constexpr, HARD: tl.constexpr,
):  # fmt: skip
    """Compute importance ratios, (B, 8).

    They are the softmax over the active logits, or one-hot at the largest.

    Args:
        logits: (R, K); None where the norm has a single statistic.
        row: rows to read, (B,).
        num_logits: K.
        IW: position of ``iw`` among the logits, -1 if it is not active.
        IN: position of ``in``, likewise.
        LN: position of ``ln``, likewise.
        BW: position of ``bw``, likewise.
        BN: position of ``bn``, likewise.
        HARD: one-hot instead of softmax.
    """
    k = tl.arange(0, 8)[None, :] + tl.zeros_like(row)[:, None]
    active = (k == IW) | (k == IN) | (k == LN) | (k == BW) | (k == BN)
    values = tl.where(active, 0.0, float('-inf'))
    if logits is not None:
        offsets = row[:, None] * num_logits + k
        loaded = tl.load(logits + offsets, mask=active, other=0.0)
        values += loaded.to(tl.float32)
    if HARD:
        ratios = (k == tl.argmax(values, 1)[:, None]).to(tl.float32)
    else:
        powers = tl.exp(values - tl.max(values, 1)[:, None])
        ratios = powers / tl.sum(powers, 1)[:, None]
    return ratios


@triton.jit
def share(ratios, POSITION: tl.constexpr):
    """Return the ratios of one statistic, (B,); 0 where it is not active."""
    chosen = tl.arange(0, 8)[None, :] == POSITION
    return tl.sum(tl.where(chosen, ratios, 0.0), 1)


@triton.jit
def placed(values, POSITION: tl.constexpr):
    """Place values (B, 1) at a statistic's position among zeros, (B, 8)."""
    chosen = tl.arange(0, 8)[None, :] == POSITION
    return tl.where(chosen, values, 0.0)


@triton.jit
def scaled(ratio, term):
    """Return ``ratio * term``, but 0 where the ratio is 0.

    The NaN of a statistic that was not chosen does not leak this way.
    """
    return tl.where(ratio == 0, 0.0, ratio * term)


@triton.jit
def _through_softmax(ratios, products, valid, SUMMED: tl.constexpr):
    inner = tl.sum(ratios * products, 1)[:, None]
    gradient = tl.where(valid[:, None], ratios * (products - inner), 0.0)
    if SUMMED:
        gradient = tl.sum(gradient, 0)[None, :]
    return gradient


@triton.jit
def store_logit_gradients(
    out, number, mean_ratios, mean_products, cov_ratios, cov_products, valid,
    SUMMED: tl.constexpr,
):  # fmt: skip
    """Store the gradients of both sets of logits through the softmax.

    They are 8 + 8 numbers.

    Args:
        out: pointer, float32.
        number: which 16 numbers of ``out`` to write, (B,) or if SUMMED (1,).
        mean_ratios: ratios of the means, (B, 8).
        mean_products: gradients of these ratios, (B, 8).
        cov_ratios: ratios of the covariances, (B, 8).
        cov_products: gradients of these ratios, (B, 8).
        valid: (B,).
        SUMMED: store the sum over all.
    """
    offsets = number[:, None] * 16 + tl.arange(0, 8)[None, :]
    mask = offsets >= 0
    if not SUMMED:
        mask = mask & valid[:, None]
    gradient = _through_softmax(mean_ratios, mean_products, valid, SUMMED)
    tl.store(out + offsets, gradient, mask=mask)
    gradient = _through_softmax(cov_ratios, cov_products, valid, SUMMED)
    tl.store(out + offsets + 8, gradient, mask=mask)


@triton.jit
def layer_moments(mean, cov, n, num_channels, ROWS: tl.constexpr):
    """Compute ``ln`` of a sample: mean and variance over all channels.

    Args:
        mean: means of all samples, (N, G, c).
        cov: covariances of all samples, (N, G, c, c).
        n: number of the sample.
        num_channels: G * c.
        ROWS: c.
    """
    mean += n.to(tl.int64) * num_channels
    cov += n.to(tl.int64) * num_channels * ROWS
    lanes = tl.arange(0, 256)
    total = tl.zeros((256,), tl.float32)
    for begin in range(0, num_channels, 256):
        mask = begin + lanes < num_channels
        total += tl.load(mean + begin + lanes, mask=mask, other=0.0)
    layer_mean = tl.sum(total, 0) / num_channels
    total = tl.zeros((256,), tl.float32)
    for begin in range(0, num_channels, 256):
        channel = begin + lanes
        mask = channel < num_channels
        offset = tl.load(mean + channel, mask=mask, other=0.0) - layer_mean
        diagonal = channel * ROWS + channel % ROWS
        variance = tl.load(cov + diagonal, mask=mask, other=0.0)
        total += tl.where(mask, variance + offset * offset, 0.0)
    return layer_mean, tl.sum(total, 0) / num_channels
