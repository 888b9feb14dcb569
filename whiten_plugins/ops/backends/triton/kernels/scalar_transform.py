r"""Mixing, whitening and the folding of weight and bias for c = 1.

A group is one channel with a mean and a variance, so that W = S^(-1/2) needs
no iteration; programs take channels by the block.
"""

import triton
import triton.language as tl

from .mixture import (
    importance_ratios,
    layer_moments,
    placed,
    scaled,
    share,
    store_logit_gradients,
)
from .running import averaged, count_batch
from .tiles import sum_of_parts

_SIZES = tuple(
    (
        'num_channels num_logits channels_per_ratio num_blocks stride '
        'num_chunks chunk_stride'
    ).split()
)


@triton.jit
def _mix(
    sample_mean, sample_var, batch_mean, batch_var, mean_logits, cov_logits,
    layer_mean, layer_var,
    n, channel, num_channels, num_logits, channels_per_ratio, eps,
    IW: tl.constexpr, IN: tl.constexpr, LN: tl.constexpr,
    BW: tl.constexpr, BN: tl.constexpr, HARD: tl.constexpr,
):  # fmt: skip
    """Return mixed mean and variance of some channels, and both ratios.

    The variance includes eps.
    """
    valid = channel < num_channels
    ratios_row = tl.where(valid, channel, 0) // channels_per_ratio
    mean_ratios = importance_ratios(
        mean_logits, ratios_row, num_logits, IW, IN, LN, BW, BN, HARD
    )
    cov_ratios = importance_ratios(
        cov_logits, ratios_row, num_logits, IW, IN, LN, BW, BN, HARD
    )
    mean = tl.zeros(channel.shape, tl.float32)
    var = mean + eps
    if sample_mean is not None:
        number = n.to(tl.int64) * num_channels + channel
        mu = tl.load(sample_mean + number, mask=valid, other=0.0)
        v = tl.load(sample_var + number, mask=valid, other=0.0)
        mean += scaled(share(mean_ratios, IW) + share(mean_ratios, IN), mu)
        var += scaled(share(cov_ratios, IW) + share(cov_ratios, IN), v)
    if batch_mean is not None:
        mu = tl.load(batch_mean + channel, mask=valid, other=0.0)
        v = tl.load(batch_var + channel, mask=valid, other=0.0)
        mean += scaled(share(mean_ratios, BW) + share(mean_ratios, BN), mu)
        var += scaled(share(cov_ratios, BW) + share(cov_ratios, BN), v)
    if LN >= 0:
        mean += scaled(share(mean_ratios, LN), layer_mean)
        var += scaled(share(cov_ratios, LN), layer_var)
    return mean, var, mean_ratios, cov_ratios


@triton.jit
def _layer_moments(mean, cov, n, num_channels, LN: tl.constexpr):
    """Compute ``ln`` of sample n where it is active, else zeros."""
    if LN >= 0:
        mu, var = layer_moments(mean, cov, n, num_channels, 1)
    else:
        mu, var = 0.0, 0.0
    return mu, var


@triton.jit
def _load_weight(weight, channel, valid):
    """Load the weights of some channels, 1 where the norm has none."""
    values = valid.to(tl.float32)
    if weight is not None:
        values = tl.load(weight + channel, mask=valid, other=0.0)
    return values.to(tl.float32)


@triton.jit
def _track(
    mean, kept, running_mean, running_cov, momentum, num_batches, counted,
    channel, valid,
):  # fmt: skip
    """Update the running statistics of a block of channels."""
    finite = averaged(
        running_mean + channel, mean, running_cov + channel, kept,
        mean + kept, momentum, valid, valid,
    )  # fmt: skip
    finite = tl.max((finite & valid).to(tl.int32), 0)
    count_batch(num_batches, counted, finite)


@triton.jit(do_not_specialize=_SIZES)
def scalar_forward(
    sample_mean, sample_var, batch_mean, batch_var,
    weight, bias, mean_logits, cov_logits, A, b, W,
    running_mean, running_cov, num_batches, counted,
    num_channels, num_logits, channels_per_ratio, eps, num_blocks, momentum,
    IW: tl.constexpr, IN: tl.constexpr, LN: tl.constexpr,
    BW: tl.constexpr, BN: tl.constexpr, HARD: tl.constexpr,
    MATRIX: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute A, b and W of a block of one sample's channels.

    Running statistics, where they are given, are updated by the programs of
    sample 0.
    """
    n = tl.program_id(0) // num_blocks
    channel = tl.program_id(0) % num_blocks * BLOCK + tl.arange(0, BLOCK)
    valid = channel < num_channels
    layer_mean, layer_var = _layer_moments(
        sample_mean, sample_var, n, num_channels, LN
    )
    mean, var, _, _ = _mix(
        sample_mean, sample_var, batch_mean, batch_var,
        mean_logits, cov_logits, layer_mean, layer_var,
        n, channel, num_channels, num_logits, channels_per_ratio, eps,
        IW, IN, LN, BW, BN, HARD,
    )  # fmt: skip
    whitening = tl.rsqrt(var)
    scale = _load_weight(weight, channel, valid) * whitening
    shift = -scale * mean
    if bias is not None:
        shift += tl.load(bias + channel, mask=valid, other=0.0).to(tl.float32)
    number = n.to(tl.int64) * num_channels + channel
    tl.store(A + number, scale, mask=valid)
    tl.store(b + number, shift, mask=valid)
    tl.store(W + number, whitening, mask=valid)
    if running_mean is not None:
        if n == 0:
            mu = tl.load(batch_mean + channel, mask=valid, other=0.0)
            kept = whitening
            if not MATRIX:
                kept = tl.load(batch_var + channel, mask=valid, other=0.0)
            _track(
                mu, kept, running_mean, running_cov, momentum, num_batches,
                counted, channel, valid,
            )  # fmt: skip


@triton.jit
def _unfold(
    dA, db, weight, mean, var,
    n, channel, num_channels, num_chunks, chunk_stride,
):  # fmt: skip
    """Return gradients, and A.

    They are of the mixed mean and variance, of weight and of bias.
    """
    valid = channel < num_channels
    number = n.to(tl.int64) * num_channels + channel
    d_scale = sum_of_parts(dA, number, num_chunks, chunk_stride, valid)
    d_shift = sum_of_parts(db, number, num_chunks, chunk_stride, valid)
    whitening = tl.rsqrt(var)
    gamma = _load_weight(weight, channel, valid)
    d_scale -= d_shift * mean  # through b = bias - A mean
    d_mean = -gamma * whitening * d_shift
    d_var = -0.5 * gamma * d_scale * whitening / var
    return d_mean, d_var, d_scale * whitening, d_shift, gamma * whitening


@triton.jit
def _source_products(
    mean, var, number, valid, d_mean, d_var,
    FULL: tl.constexpr, DIAGONAL: tl.constexpr,
):  # fmt: skip
    """Return gradients of the ratios that weigh one source of moments."""
    of_mean = d_mean * tl.load(mean + number, mask=valid, other=0.0)
    of_var = d_var * tl.load(var + number, mask=valid, other=0.0)
    of_mean, of_var = of_mean[:, None], of_var[:, None]
    return (
        placed(of_mean, FULL) + placed(of_mean, DIAGONAL),
        placed(of_var, FULL) + placed(of_var, DIAGONAL),
    )


@triton.jit(do_not_specialize=_SIZES)
def scalar_backward(
    dA, db, sample_mean, sample_var, batch_mean, batch_var,
    weight, mean_logits, cov_logits, A, d_sample_mean, d_sample_var,
    d_batch_mean, d_batch_var, d_weight, d_bias, d_logits,
    stride, num_channels, num_logits, channels_per_ratio, eps,
    num_chunks, chunk_stride, num_blocks,
    IW: tl.constexpr, IN: tl.constexpr, LN: tl.constexpr,
    BW: tl.constexpr, BN: tl.constexpr, HARD: tl.constexpr,
    SUMMED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Compute A once more and the gradients of a block of one sample.

    Gradients that samples share, from ``d_batch_mean`` on, are written for
    each n by itself, ``stride`` apart, and summed later; those of logits by
    channels, or if ``SUMMED`` by blocks. dA and db are sums of chunks.
    """
    n = tl.program_id(0) // num_blocks
    block = tl.program_id(0) % num_blocks
    lanes = tl.arange(0, BLOCK)
    layer_mean, layer_var = _layer_moments(
        sample_mean, sample_var, n, num_channels, LN
    )
    d_layer_mean = tl.zeros((BLOCK,), tl.float32)
    d_layer_var = tl.zeros((BLOCK,), tl.float32)
    if LN >= 0:  # every channel of the sample counts
        for begin in range(0, num_channels, BLOCK):
            channel = begin + lanes
            mean, var, mean_ratios, cov_ratios = _mix(
                sample_mean, sample_var, batch_mean, batch_var,
                mean_logits, cov_logits, layer_mean, layer_var,
                n, channel, num_channels, num_logits, channels_per_ratio,
                eps, IW, IN, LN, BW, BN, HARD,
            )  # fmt: skip
            d_mean, d_var, _, _, _ = _unfold(
                dA, db, weight, mean, var,
                n, channel, num_channels, num_chunks, chunk_stride,
            )  # fmt: skip
            d_layer_mean += scaled(share(mean_ratios, LN), d_mean)
            d_layer_var += scaled(share(cov_ratios, LN), d_var)
    d_layer_mean = tl.sum(d_layer_mean, 0) / num_channels
    d_layer_var = tl.sum(d_layer_var, 0) / num_channels

    shared = n.to(tl.int64) * stride
    channel = block * BLOCK + lanes
    valid = channel < num_channels
    number = n.to(tl.int64) * num_channels + channel
    mean, var, mean_ratios, cov_ratios = _mix(
        sample_mean, sample_var, batch_mean, batch_var,
        mean_logits, cov_logits, layer_mean, layer_var,
        n, channel, num_channels, num_logits, channels_per_ratio,
        eps, IW, IN, LN, BW, BN, HARD,
    )  # fmt: skip
    d_mean, d_var, d_gamma, d_beta, scale = _unfold(
        dA, db, weight, mean, var,
        n, channel, num_channels, num_chunks, chunk_stride,
    )  # fmt: skip
    tl.store(A + number, scale, mask=valid)
    if d_weight is not None:
        tl.store(d_weight + shared + channel, d_gamma, mask=valid)
    if d_bias is not None:
        tl.store(d_bias + shared + channel, d_beta, mask=valid)
    of_mean = placed((d_mean * layer_mean)[:, None], LN)
    of_var = placed((d_var * layer_var)[:, None], LN)
    if sample_mean is not None:
        ratio = share(mean_ratios, IW) + share(mean_ratios, IN)
        mu = tl.load(sample_mean + number, mask=valid, other=0.0)
        through_layer = scaled(2 * d_layer_var, mu - layer_mean)
        d_mu = scaled(ratio, d_mean) + d_layer_mean + through_layer
        tl.store(d_sample_mean + number, d_mu, mask=valid)
        ratio = share(cov_ratios, IW) + share(cov_ratios, IN)
        d_v = scaled(ratio, d_var) + d_layer_var
        tl.store(d_sample_var + number, d_v, mask=valid)
        more_of_mean, more_of_var = _source_products(
            sample_mean, sample_var, number, valid, d_mean, d_var, IW, IN
        )
        of_mean += more_of_mean
        of_var += more_of_var
    if batch_mean is not None:
        ratio = share(mean_ratios, BW) + share(mean_ratios, BN)
        d_mu = scaled(ratio, d_mean)
        tl.store(d_batch_mean + shared + channel, d_mu, mask=valid)
        ratio = share(cov_ratios, BW) + share(cov_ratios, BN)
        d_v = scaled(ratio, d_var)
        tl.store(d_batch_var + shared + channel, d_v, mask=valid)
        more_of_mean, more_of_var = _source_products(
            batch_mean, batch_var, channel, valid, d_mean, d_var, BW, BN
        )
        of_mean += more_of_mean
        of_var += more_of_var
    if d_logits is not None:
        place = channel
        if SUMMED:
            place = block + tl.arange(0, 1)
        store_logit_gradients(
            d_logits + shared, place, mean_ratios, of_mean,
            cov_ratios, of_var, valid, SUMMED,
        )  # fmt: skip
