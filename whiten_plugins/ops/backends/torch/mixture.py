r"""Statistics and their mixture, from per-sample and batch moments.

.. math::
    \hat\mu_n = \sum_k w_k \mu_k, \qquad
    \hat\Sigma_n = \sum_k w'_k \Sigma_k + \epsilon I

SN eq. 3 (one-channel groups) and SW algorithm 1.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from ...spec import BATCH_STATS, Moments, NormSpec
from ...stage import StageInputs
from .whitening import diagonal


def _layer_moments(sample: Moments) -> Moments:
    """Compute ``ln``, over all of a sample (SN eq. 2, 4)."""
    mean = sample.mean.mean((1, 2), keepdim=True)
    variance = diagonal(sample.cov)
    variance = variance + (sample.mean - mean).square()
    return Moments(mean, variance.mean((1, 2), keepdim=True).unsqueeze(-1))


def _statistic(
    name: str, sample: Moments | None, batch: Moments | None, eye: Tensor
) -> Moments:
    moments = batch if name in BATCH_STATS else sample
    assert moments is not None  # whoever mixes a statistic has its moments
    if name == 'ln':
        mean, variance = _layer_moments(moments)
        return Moments(mean.expand_as(moments.mean), variance * eye)
    mean, cov = moments
    diagonal = name in ('in', 'bn') and len(eye) > 1
    return Moments(mean, cov * eye if diagonal else cov)


def importance_ratios(
    logits: Tensor, stats: tuple[str, ...], active: tuple[str, ...], hard: bool
) -> Tensor:
    r"""Compute the importance ratios of the active statistics.

    Softmax over the active logits (SN eq. 5), or one-hot at the largest
    (SN section 4.1.4).

    Args:
        logits: (\*, K), in the order of ``stats``.
        stats: names of the K statistics.
        active: those of them that are defined for this input.
        hard: one-hot instead of softmax.
    """
    if active != stats:
        logits = logits[..., [stats.index(name) for name in active]]
    if hard:
        index = logits.argmax(-1, keepdim=True)
        return torch.zeros_like(logits).scatter(-1, index, 1)
    return logits.softmax(-1)


def _only_if(chosen: Tensor, moments: Moments | None) -> Moments | None:
    """Return ``moments`` where they are chosen, else zeros.

    NaN in a statistic that a hard choice leaves out must not leak, neither
    forward nor backward, as 0 * NaN.

    Args:
        chosen: one truth value, or (G, 1), one for each group.
        moments: what the statistic is taken from.
    """
    if moments is None:
        return None
    zero = moments.mean.new_zeros(())
    return Moments(
        torch.where(chosen, moments.mean, zero),
        torch.where(chosen.unsqueeze(-1), moments.cov, zero),
    )


def _weighted_sum(terms: Iterable[Tensor], weights: Tensor) -> Tensor:
    # By number: iterating is one operator with several outputs, which the
    # folding of constants in torch's older ONNX export mixes up.
    parts = (weights[number] * term for number, term in enumerate(terms))
    return functools.reduce(operator.add, parts)


def _per_channel(weights: Tensor, groups: int) -> Tensor:
    """Return (K,) as it is, (ratio_groups, K) as (K, G, 1).

    The latter is for one-row groups.
    """
    if weights.dim() == 1:
        return weights
    repeats = groups // len(weights)
    return weights.t().repeat_interleave(repeats, 1).unsqueeze(-1)


def mix(
    spec: NormSpec, active: tuple[str, ...], inputs: StageInputs
) -> Moments:
    """Return the mixed mean and covariance, eps included.

    Args:
        spec: the norm.
        active: the statistics that are defined for this input.
        inputs: moments and ratio logits are read.
    """
    sample, batch, parameters = inputs
    reference = inputs.moments.mean
    groups, rows = reference.shape[1:]
    eye = torch.eye(rows, dtype=reference.dtype, device=reference.device)
    if len(active) == 1:
        mean, cov = _statistic(active[0], sample, batch, eye)
        return Moments(mean, cov + spec.eps * eye)
    weights, cov_weights = (
        _per_channel(
            importance_ratios(
                cast(Tensor, logits).to(eye.dtype),
                spec.stats,
                active,
                spec.hard,
            ),
            groups,
        )
        for logits in (parameters.mean_logits, parameters.cov_logits)
    )
    terms = []
    for number, name in enumerate(active):
        sources = sample, batch
        if spec.hard:
            # All channels of a sample are behind its ln.
            share = weights[number] + cov_weights[number]
            chosen = share.any() if name == 'ln' else share > 0
            sources = _only_if(chosen, sample), _only_if(chosen, batch)
        terms.append(_statistic(name, *sources, eye))
    means, covs = zip(*terms)
    if cov_weights.dim() > 1:
        cov_weights = cov_weights.unsqueeze(-1)
    mean = _weighted_sum(means, weights)
    cov = _weighted_sum(covs, cov_weights)
    return Moments(mean, cov + spec.eps * eye)
