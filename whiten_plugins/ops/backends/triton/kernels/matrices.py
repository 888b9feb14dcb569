"""The mixture of one group's moments as matrices, and its gradient."""

import triton
import triton.language as tl

from .mixture import importance_ratios, layer_moments, placed, scaled, share
from .newton import sum_of
from .tiles import square


@triton.jit
def load_moments(mean, cov, number, row, ROWS: tl.constexpr):
    """Load a vector and a matrix of c rows, 0 beyond them."""
    offsets, inside = square(row, ROWS)
    mean += number.to(tl.int64) * ROWS
    cov += number.to(tl.int64) * ROWS * ROWS
    vector = tl.load(mean + row, mask=row < ROWS, other=0.0)
    return vector, tl.load(cov + offsets, mask=inside, other=0.0)


@triton.jit
def store_moments(mean, cov, number, row, vector, matrix, ROWS: tl.constexpr):
    """Store what :func:`load_moments` reads."""
    offsets, inside = square(row, ROWS)
    mean += number.to(tl.int64) * ROWS
    cov += number.to(tl.int64) * ROWS * ROWS
    tl.store(mean + row, vector, mask=row < ROWS)
    tl.store(cov + offsets, matrix, mask=inside)


@triton.jit
def identity(row, width: tl.constexpr):
    """Return the identity of ``width`` rows, zero-padded to len(row)."""
    same = (row[:, None] == row[None, :]) & (row < width)[:, None]
    return same.to(tl.float32)


@triton.jit
def _diagonal(matrix, eye):
    return tl.where(eye > 0, matrix, 0.0)


@triton.jit
def _weigh(
    vector, matrix, mean_ratios, cov_ratios, eye,
    FULL: tl.constexpr, DIAGONAL: tl.constexpr,
):  # fmt: skip
    """Multiply one source of moments by its ratios.

    It counts as covariances and as their diagonals. The map is its own
    transpose, so it serves gradients too.
    """
    ratio = share(mean_ratios, FULL) + share(mean_ratios, DIAGONAL)
    full = scaled(share(cov_ratios, FULL)[:, None], matrix)
    diagonal = scaled(share(cov_ratios, DIAGONAL)[:, None], matrix)
    return scaled(ratio, vector), full + _diagonal(diagonal, eye)


@triton.jit
def mix(
    sample_mean, sample_cov, batch_mean, batch_cov, mean_logits, cov_logits,
    n, g, num_groups, num_logits, groups_per_ratio, row, eye, eps,
    IW: tl.constexpr, IN: tl.constexpr, LN: tl.constexpr,
    BW: tl.constexpr, BN: tl.constexpr, HARD: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Return the mixed mean, the mixed covariance and the ratios of both.

    The covariance includes eps.

    Moments that the norm does not use are None.
    """
    ratios_row = tl.zeros((1,), tl.int32) + g // groups_per_ratio
    mean_ratios = importance_ratios(
        mean_logits, ratios_row, num_logits, IW, IN, LN, BW, BN, HARD
    )
    cov_ratios = importance_ratios(
        cov_logits, ratios_row, num_logits, IW, IN, LN, BW, BN, HARD
    )
    mean = tl.zeros(row.shape, tl.float32)
    cov = eps * eye
    if sample_mean is not None:
        number = n * num_groups + g
        mu, C = load_moments(sample_mean, sample_cov, number, row, ROWS)
        mu, C = _weigh(mu, C, mean_ratios, cov_ratios, eye, IW, IN)
        mean += mu
        cov += C
    if batch_mean is not None:
        mu, C = load_moments(batch_mean, batch_cov, g, row, ROWS)
        mu, C = _weigh(mu, C, mean_ratios, cov_ratios, eye, BW, BN)
        mean += mu
        cov += C
    if LN >= 0:
        mu, variance = layer_moments(
            sample_mean, sample_cov, n, num_groups * ROWS, ROWS
        )
        mean += tl.where(row < ROWS, scaled(share(mean_ratios, LN), mu), 0.0)
        cov += scaled(share(cov_ratios, LN), variance)[:, None] * eye
    return mean, cov, mean_ratios, cov_ratios


@triton.jit
def source_gradients(
    mean, cov, number, d_of_mean, d_of_cov, number_of_gradient,
    d_mean, d_cov, mean_ratios, cov_ratios, row, eye,
    FULL: tl.constexpr, DIAGONAL: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Store the gradients of one source; return those of its ratios.

    Args:
        mean: means of the source.
        cov: covariances of the source.
        number: which of its moments.
        d_of_mean: where the gradients of its means go.
        d_of_cov: where those of its covariances go.
        number_of_gradient: which of them to write.
        d_mean: gradient of the mixed mean.
        d_cov: gradient of the mixed covariance.
        mean_ratios: ratios of the means.
        cov_ratios: ratios of the covariances.
        row: numbers of the rows, padded.
        eye: the identity of c rows, likewise.
        FULL: position of the source's ``iw`` or ``bw`` among the logits.
        DIAGONAL: position of its ``in`` or ``bn``.
        ROWS: c.
    """
    vector, matrix = _weigh(
        d_mean, d_cov, mean_ratios, cov_ratios, eye, FULL, DIAGONAL
    )
    store_moments(
        d_of_mean, d_of_cov, number_of_gradient, row, vector, matrix, ROWS
    )
    mu, C = load_moments(mean, cov, number, row, ROWS)
    of_mean = tl.sum(d_mean * mu, 0)
    of_full = sum_of(d_cov * C)
    of_diagonal = sum_of(_diagonal(d_cov * C, eye))
    return (
        placed(of_mean, FULL) + placed(of_mean, DIAGONAL),
        placed(of_full, FULL) + placed(of_diagonal, DIAGONAL),
    )
