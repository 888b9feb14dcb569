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


def _only_if(chosen: Tensor, moments: Moments) -> Moments:
    """Return ``moments`` where they are chosen, else zeros.

    NaN in a statistic that a hard choice leaves out must not leak, neither
    forward nor backward, as 0 * NaN.

    Args:
        chosen: one truth value, or (G, 1), one for each group.
        moments: what the statistic is taken from.
    """
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


class Mixture:
    """The mixed mean and covariance of a norm, and their gradients.

    Args:
        spec: the norm.
        active: the statistics that are defined for this input.
        inputs: moments and ratio logits are read.
    """

    def __init__(
        self, spec: NormSpec, active: tuple[str, ...], inputs: StageInputs
    ) -> None:
        self.spec, self.active = spec, active
        sample, batch, self.parameters = inputs
        self.inputs = inputs
        reference = inputs.moments.mean
        self.groups, rows = reference.shape[1:]
        self.eye = torch.eye(
            rows, dtype=reference.dtype, device=reference.device
        )
        self.ratios = self._ratios() if len(active) > 1 else None
        self.chosen = self._chosen()
        self.terms = [
            self._term(name, chosen)
            for name, chosen in zip(active, self.chosen)
        ]

    def _ratios(self) -> list[Tensor]:
        """Return both sets of ratios, (K,) or (ratio_groups, K)."""
        return [
            importance_ratios(
                cast(Tensor, logits).to(self.eye.dtype),
                self.spec.stats,
                self.active,
                self.spec.hard,
            )
            for logits in self.parameters[2:]
        ]

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Return the ratios as factors of means and of covariances."""
        weights, cov_weights = (
            _per_channel(ratios, self.groups)
            for ratios in cast('list[Tensor]', self.ratios)
        )
        if cov_weights.dim() > 1:
            cov_weights = cov_weights.unsqueeze(-1)
        return weights, cov_weights

    def _chosen(self) -> list[Tensor | None]:
        """Return where a hard choice takes a statistic; None without one."""
        if self.ratios is None or not self.spec.hard:
            return [None] * len(self.active)
        means, covs = (_per_channel(v, self.groups) for v in self.ratios)
        shares = (means[k] + covs[k] for k in range(len(self.active)))
        # All channels of a sample are behind its ln.
        return [
            share.any() if name == 'ln' else share > 0
            for name, share in zip(self.active, shares)
        ]

    def _source(self, name: str, chosen: Tensor | None) -> Moments:
        sample, batch, _ = self.inputs
        moments = batch if name in BATCH_STATS else sample
        assert moments is not None  # whoever mixes a statistic has its moments
        return moments if chosen is None else _only_if(chosen, moments)

    def _term(self, name: str, chosen: Tensor | None) -> Moments:
        """Return the mean and the covariance of a statistic."""
        moments = self._source(name, chosen)
        if name == 'ln':
            mean, variance = _layer_moments(moments)
            return Moments(mean.expand_as(moments.mean), variance * self.eye)
        mean, cov = moments
        return Moments(mean, cov * self.eye if self._diagonal(name) else cov)

    def _diagonal(self, name: str) -> bool:
        return name in ('in', 'bn') and len(self.eye) > 1

    def moments(self) -> Moments:
        """Return the mixed mean and covariance, eps included."""
        if self.ratios is None:
            mean, cov = self.terms[0]
        else:
            means, covs = zip(*self.terms)
            weights, cov_weights = self._weights()
            mean = _weighted_sum(means, weights)
            cov = _weighted_sum(covs, cov_weights)
        return Moments(mean, cov + self.spec.eps * self.eye)

    def backward(
        self, gradient: Moments
    ) -> tuple[Moments | None, Moments | None, tuple[Tensor | None, ...]]:
        """Return the gradients of both moments and of both sets of logits.

        Args:
            gradient: of the mixed mean and covariance.
        """
        found: dict[bool, list[Moments]] = {True: [], False: []}
        for k, name in enumerate(self.active):
            passed = gradient
            if self.ratios is not None:
                weights, cov_weights = self._weights()
                passed = Moments(
                    weights[k] * gradient.mean, cov_weights[k] * gradient.cov
                )
            passed = self._term_backward(name, self.chosen[k], passed)
            found[name in BATCH_STATS].append(passed)
        sample, batch, _ = self.inputs
        return (
            _total(found[False], sample),
            _total(found[True], batch),
            self._logit_gradients(gradient),
        )

    def _term_backward(
        self, name: str, chosen: Tensor | None, gradient: Moments
    ) -> Moments:
        """Return the gradients of the moments behind a statistic."""
        moments = self._source(name, chosen)
        mean, cov = gradient
        if name == 'ln':
            count = moments.mean.shape[1:].numel()
            centre = moments.mean.mean((1, 2), keepdim=True)
            d_centre = mean.sum((1, 2), keepdim=True) / count
            d_variance = diagonal(cov).sum((1, 2), keepdim=True) / count
            mean = d_centre + 2 * d_variance * (moments.mean - centre)
            cov = d_variance.unsqueeze(-1) * self.eye
            cov = cov.expand_as(moments.cov)
        elif self._diagonal(name):
            cov = cov * self.eye
        summed = Moments(
            *(v.sum_to_size(m.shape) for v, m in zip((mean, cov), moments))
        )
        return summed if chosen is None else _only_if(chosen, summed)

    def _logit_gradients(self, gradient: Moments) -> tuple[Tensor | None, ...]:
        """Differentiate the softmax; a hard choice gives no gradient."""
        logits = self.parameters[2:]
        if self.ratios is None or self.spec.hard:
            return tuple(
                None if v is None else torch.zeros_like(v) for v in logits
            )
        places = [self.spec.stats.index(name) for name in self.active]
        found = []
        for number, (v, ratios) in enumerate(zip(logits, self.ratios)):
            d_ratios = torch.stack(
                [
                    self._ratio_gradient(gradient[number], term[number], v)
                    for term in self.terms
                ],
                -1,
            ).view_as(ratios)
            centre = (ratios * d_ratios).sum(-1, keepdim=True)
            d_active = ratios * (d_ratios - centre)
            if self.active != self.spec.stats:
                full = d_active.new_zeros(cast(Tensor, v).shape)
                full[..., places] = d_active
                d_active = full
            found.append(d_active.to(cast(Tensor, v).dtype))
        return tuple(found)

    def _ratio_gradient(
        self, gradient: Tensor, term: Tensor, logits: Tensor | None
    ) -> Tensor:
        """Return the gradients of a statistic's ratios, (ratio_groups,)."""
        sets = 1 if logits is None or logits.dim() == 1 else len(logits)
        by_group = (gradient * term).transpose(0, 1).flatten(1).sum(1)
        return by_group.view(sets, -1).sum(1)


def _total(parts: list[Moments], like: Moments | None) -> Moments | None:
    """Sum gradients of the moments ``like``; zeros if there are none."""
    if like is None:
        return None
    if not parts:
        return Moments(*(torch.zeros_like(v) for v in like))
    return Moments(
        *(functools.reduce(operator.add, values) for values in zip(*parts))
    )


def mix(
    spec: NormSpec, active: tuple[str, ...], inputs: StageInputs
) -> Moments:
    """Return the mixed mean and covariance, eps included.

    Args:
        spec: the norm.
        active: the statistics that are defined for this input.
        inputs: moments and ratio logits are read.
    """
    return Mixture(spec, active, inputs).moments()
