"""The condition of the covariances that a norm itself takes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ops import Moments, NormSpec
from .measures import ZERO, Condition, condition_numbers, rank
from .results import GroupCondition

MOST_PASSES = 16
MOST_SAMPLES = 8  # of one pass, where each has statistics of its own


class GroupConditions:
    """κ and rank of a norm's groups, over the first 16 passes.

    Args:
        spec: of the norm.
    """

    def __init__(self, spec: NormSpec) -> None:
        self.spec = spec
        self._kappas: list[Tensor] = []
        self._rank = spec.num_rows

    def add(self, sample: Moments, batch: Moments) -> None:
        """Measure the groups of a pass."""
        if self.spec.num_rows == 1 or len(self._kappas) == MOST_PASSES:
            return
        cov = batch.cov if self.spec.uses_batch else sample.cov[:MOST_SAMPLES]
        zero = ZERO[cov.dtype]
        self._kappas.append(condition_numbers(cov, zero).flatten(1))
        self._rank = min(self._rank, int(rank(cov, zero).min()))

    def summary(self) -> GroupCondition | None:
        """Summarize all passes; None if groups are single channels."""
        if not self._kappas:
            return None
        kappas = torch.cat(self._kappas, 1).cpu()
        kappas = kappas[:, ~kappas.isnan().any(0)]
        if not kappas.numel():
            nothing = Condition(float('nan'), float('nan'))
            return GroupCondition(
                self.spec.num_rows, self._rank, nothing, nothing
            )
        return GroupCondition(
            self.spec.num_rows,
            self._rank,
            Condition(*kappas.median(1).values.tolist()),
            Condition(*kappas.amax(1).tolist()),
        )
