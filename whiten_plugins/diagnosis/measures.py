"""What a covariance says: condition, rank, correlation, scales."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ZERO = {torch.float32: 1e-6, torch.float64: 1e-12}
"""Eigenvalues below this share of the largest are rounding, by the dtype
that the products were summed in."""

DEAD_SHARE = 0.01
"""A channel whose variance is below this share of the norm's eps is dead:
divided by sqrt(variance + eps), its deviation is below 0.1, and what leaves
the norm is its bias."""


class Condition(NamedTuple):
    r"""Condition numbers :math:`\kappa_p = \lambda_{max} / \lambda_p`.

    :math:`\lambda_p` is the pd-th of d eigenvalues in descending order (GW
    Fig. 2). The condition number is infinite where that one is zero.

    Attributes:
        k100: of the smallest eigenvalue.
        k90: of the one that a tenth of the eigenvalues are smaller than.
    """

    k100: float
    k90: float


def condition_numbers(
    cov: Tensor, zero: float, shares: tuple[float, ...] = (1.0, 0.9)
) -> Tensor:
    """Compute κ of covariances for each share p of the eigenvalues.

    Args:
        cov: (..., d, d).
        zero: share of the largest eigenvalue below which one counts as 0.
        shares: p.

    Returns:
        (len(shares), ...); infinite where the eigenvalue is zero, NaN where
        ``cov`` is not finite or all of it zero.
    """
    values = eigenvalues(cov)
    largest = values[..., -1]
    dims = values.shape[-1]
    found = []
    for share in shares:
        # The epsilon keeps 0.9 * 10 the ninth.
        place = max(1, -int(-(share * dims - 1e-9) // 1))
        value = values[..., dims - place]
        kappa = torch.where(value > zero * largest, largest / value, torch.inf)
        found.append(torch.where(largest > 0, kappa, torch.nan))
    return torch.stack(found)


def condition(cov: Tensor, zero: float = ZERO[torch.float64]) -> Condition:
    """Compute the :class:`Condition` of one covariance (d, d)."""
    return Condition(*condition_numbers(cov, zero).tolist())


def rank(cov: Tensor, zero: float = ZERO[torch.float64]) -> Tensor:
    """Count the nonzero eigenvalues of covariances (..., d, d)."""
    values = eigenvalues(cov)
    return (values > zero * values[..., -1:]).sum(-1)


def eigenvalues(cov: Tensor) -> Tensor:
    """Compute eigenvalues in ascending order, in float64.

    They are NaN where ``cov`` is not finite.
    """
    cov = cov.double()
    finite = cov.isfinite().all(-1).all(-1)
    eye = torch.eye(cov.shape[-1], dtype=cov.dtype, device=cov.device)
    safe = torch.where(finite[..., None, None], cov, eye)
    values = torch.linalg.eigvalsh(safe)
    return torch.where(finite[..., None], values, torch.nan)


def correlation(cov: Tensor) -> Tensor:
    """Compute the correlations (d, d) of a covariance.

    Those with channels that do not vary are 0.
    """
    variance = cov.diagonal()
    scale = torch.where(variance > 0, variance.rsqrt(), 0)
    return (cov * scale * scale.unsqueeze(-1)).clamp(-1, 1)


def largest_correlation(cov: Tensor) -> float:
    """Return the largest |correlation| of two channels; 0 for one channel."""
    found = correlation(cov).abs()
    return float(found.fill_diagonal_(0).max())


def scale_spread(variance: Tensor, live: Tensor) -> float:
    """Divide the largest by the smallest standard deviation of live channels.

    Return NaN if there are none.
    """
    deviations = variance[live].sqrt()
    if not len(deviations):
        return float('nan')
    return float(deviations.max() / deviations.min())


def axis_swaps(before: Tensor, after: Tensor) -> float:
    r"""Return the share of principal axes that swap between two batches.

    Axes are the eigenvectors by falling eigenvalue. One has changed places
    where another of the second batch is nearer to it than that of the same
    place: then PCA whitening rotates the same data onto other axes
    (stochastic axis swapping, DBN section 3.1).

    Args:
        before: covariances (G, c, c) of one batch.
        after: those of another.
    """
    axes = [
        torch.linalg.eigh(cov.double()).eigenvectors.flip(-1)
        for cov in (before, after)
    ]
    nearest = (axes[0].mT @ axes[1]).abs().argmax(-1)
    places = torch.arange(nearest.shape[-1], device=nearest.device)
    return float((nearest != places).double().mean())
