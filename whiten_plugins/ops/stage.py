r"""The small-matrix stage of a call: from moments to y = A x + b.

.. math::
    A_n = \mathrm{diag}(\gamma)\, \hat\Sigma_n^{-1/2}, \qquad
    b_n = \beta - A_n \hat\mu_n

Its tensors are small, and every backend has code of its own for it; what
they agree on stands here.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from .spec import SAMPLE_STATS, STATISTICS, Moments, NormSpec


class Parameters(NamedTuple):
    """What a norm learns; None for what it does not have.

    ``weight`` and ``bias`` are (C,); the ratio logits are (K,) or
    (ratio_groups, K).
    """

    weight: Tensor | None
    bias: Tensor | None
    mean_logits: Tensor | None
    cov_logits: Tensor | None

    @property
    def affine(self) -> bool:
        return self.weight is not None or self.bias is not None

    @property
    def ratio_groups(self) -> int:
        logits = self.mean_logits
        return 1 if logits is None or logits.dim() == 1 else len(logits)


class ParameterShapes(NamedTuple):
    """What a stage needs to know of the parameters."""

    affine: bool
    ratio_groups: int


class StageInputs(NamedTuple):
    """What the stage reads, or the gradients of what it read.

    ``sample`` are the moments of each sample, ``batch`` those of the batch
    or the running ones; None where no statistic needs them.
    """

    sample: Moments | None
    batch: Moments | None
    parameters: Parameters

    @property
    def moments(self) -> Moments:
        """The samples' moments, or the batch's where there are no others."""
        moments = self.sample or self.batch
        assert moments is not None  # every norm has a statistic
        return moments


class Coefficients(NamedTuple):
    """A (N or 1, E, c, c), b (N or 1, E, c) and the whitening matrix W."""

    A: Tensor
    b: Tensor
    W: Tensor


@dataclass(frozen=True)
class Stage:
    """Shapes and settings of the stage.

    Args:
        spec: the norm.
        active: those of its statistics that are defined for this input.
        samples: N where a statistic is a sample's own, else 1.
        groups: G, groups of rows with statistics of their own.
        slots: channels of a row that have weights of their own: C / c in a
            norm across groups with weight or bias, else 1.
        ratio_groups: groups of channels with ratios of their own.
    """

    spec: NormSpec
    active: tuple[str, ...]
    samples: int
    groups: int
    slots: int = 1
    ratio_groups: int = 1

    @classmethod
    def of(
        cls,
        spec: NormSpec,
        active: tuple[str, ...],
        samples: int,
        channels: int,
        parameters: Parameters | ParameterShapes,
    ) -> Stage:
        """Build the stage of a norm with these parameters."""
        groups = 1 if spec.across_groups else channels // spec.num_rows
        return cls(
            spec,
            active,
            samples if set(active) & set(SAMPLE_STATS) else 1,
            groups,
            channels // (groups * spec.num_rows) if parameters.affine else 1,
            parameters.ratio_groups,
        )

    @property
    def rows(self) -> int:
        """c, rows of a group."""
        return self.spec.num_rows

    @property
    def entries(self) -> int:
        """E, matrices A of a sample."""
        return self.groups * self.slots

    @property
    def uses_samples(self) -> bool:
        """Return whether a statistic of each sample is read."""
        return any(name in SAMPLE_STATS for name in self.active)

    def sizes_of_moments(self, batch_training: bool) -> list[int]:
        """Return how many numbers the moments of an input are.

        Means and covariances of the samples, where a statistic is theirs,
        then those of the batch, in training: so they lie in one tensor.
        """
        mean = self.groups * self.rows
        counts = [self.samples] * self.uses_samples + [1] * batch_training
        return [
            count * size
            for count in counts
            for size in (mean, mean * self.rows)
        ]

    def split_moments(
        self, state: Tensor, batch_training: bool
    ) -> tuple[Moments | None, Moments | None]:
        """Return the moments of the samples and of the batch in a tensor.

        Args:
            state: of the sizes that :meth:`sizes_of_moments` returns.
            batch_training: whether those of the batch are in it.
        """
        parts = list(state.split(self.sizes_of_moments(batch_training)))

        def moments(mean: Tensor, cov: Tensor) -> Moments:
            shape = (-1, self.groups, self.rows)
            return Moments(mean.view(shape), cov.view(*shape, self.rows))

        return (
            moments(*parts[:2]) if self.uses_samples else None,
            moments(*parts[-2:]) if batch_training else None,
        )

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Where each statistic's ratio logit is; -1 if it is not active."""
        return {
            name: self.spec.stats.index(name) if name in self.active else -1
            for name in STATISTICS
        }
