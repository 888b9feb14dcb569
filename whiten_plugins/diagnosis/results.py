"""What was found: of one norm, and of a network."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from ..analysis.norms import NormInfo
from ..analysis.statistic_sizes import StatisticSize
from .measures import Condition
from .noise import Disturbance
from .what_if import WhatIf

FORMAT = 'whiten_plugins diagnosis 1'


@dataclass
class GroupCondition:
    """Condition of the covariances of the norm's own groups.

    They are those that its own statistic uses: of each sample (IW, GW, GN),
    else of the batch.

    Attributes:
        rows: c, rows of a group.
        rank: the smallest rank of one.
        median: κ of the groups, the median.
        worst: of the worst group.
    """

    rows: int
    rank: int
    median: Condition
    worst: Condition


@dataclass
class Spread:
    """One side of a norm, before it or after it (without weight and bias).

    Attributes:
        elements: vectors of channels that the covariance is taken from.
        channels: channels in it, at most 512.
        condition: of the covariance over all these channels.
        groups: of those of the norm's own groups; None where they are
            single channels.
        largest_correlation: between two channels.
        scale_spread: largest over smallest deviation of a channel that is
            not dead.
        correlation: (k, k), k <= 64, for the picture; where there are more
            channels, the strongest correlation of each pair of blocks.
    """

    elements: int
    channels: int
    condition: Condition
    groups: GroupCondition | None
    largest_correlation: float
    scale_spread: float
    correlation: Tensor | None = None


@dataclass
class Gradient:
    """The gradient of the loss at a norm.

    Attributes:
        at_output: root mean square over elements, without weight and bias.
        at_input: likewise of what the norm passes on; NaN where nothing
            before the norm is trained.
        condition: of the gradients' covariance over channels, as
            :class:`Spread` has it: with that of the activations it makes up
            the condition of a layer's Fisher information (DBN section 3.4).
    """

    at_output: float
    at_input: float
    condition: Condition


@dataclass
class NormDiagnosis:
    """One norm on this data.

    Attributes:
        info: its name, type, channels, groups, mode and the config key that
            put it there.
        whitening: 'itn', 'zca' or 'pca'; None where nothing is whitened.
        updated: whether its running statistics ever were; None without any.
        at_start: whether all its ratio logits are equal, as they start; None
            where it learns none.
        passes: calls of the norm; several a batch where levels share it.
        samples: the fewest samples of a call.
        smallest_map: trailing sizes of the smallest input.
        largest_map: of the largest.
        sizes: of each statistic, on the smallest input.
        before: the input.
        after: the output, without weight and bias.
        deviation: of the output where the norm's own statistic has 1: the
            mean over rows.
        smallest_deviation: that of one row.
        dead: channels of the input that do not vary, by index.
        noise: of the batch statistics; zeros where there are none. NaN for
            the running ones where nothing reads or filled them yet.
        axis_swaps: share of the principal axes of 16 channels that change
            places between batches; NaN from one batch.
        what_if: condition that whitening would reach.
        gradient: with ``backward``.
        skipped: vectors of elements with NaN or Inf.
    """

    info: NormInfo
    whitening: str | None
    updated: bool | None
    at_start: bool | None
    passes: int
    samples: int
    smallest_map: tuple[int, ...]
    largest_map: tuple[int, ...]
    sizes: dict[str, StatisticSize]
    before: Spread
    after: Spread
    deviation: float
    smallest_deviation: float
    dead: list[int]
    noise: Disturbance
    axis_swaps: float
    what_if: list[WhatIf]
    gradient: Gradient | None = None
    skipped: int = 0

    @property
    def name(self) -> str:
        return self.info.name


@dataclass(frozen=True)
class Advice:
    """One finding.

    Attributes:
        problem: its key in :data:`~whiten_plugins.analysis.limits.LIMITS`.
        norms: names of the norms that it is about.
        number: what was measured, of the worst norm.
        limit: what the number is held against.
        sentence: the finding and its remedy, with the number.
    """

    problem: str
    norms: tuple[str, ...]
    number: float
    limit: float
    sentence: str


@dataclass
class Diagnosis:
    """A network.

    Attributes:
        norms: those that ran, in forward order.
        not_run: names of the others.
        batches: how many were looked at.
        advice: what to change; empty where nothing is wrong.
        about: config, checkpoint, device, seed, seconds and the like.
    """

    norms: list[NormDiagnosis]
    not_run: list[str]
    batches: int
    advice: list[Advice] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``diagnosis.json``.

        Its format is described in docs/guides/diagnosis.md. What is not finite
        is None.
        """
        return _plain(
            {
                'format': FORMAT,
                'about': self.about,
                'batches': self.batches,
                'norms': [_norm(norm) for norm in self.norms],
                'not_run': self.not_run,
                'advice': [asdict(advice) for advice in self.advice],
            }
        )


def _norm(norm: NormDiagnosis) -> dict[str, Any]:
    sizes = [
        asdict(size)
        | {'constraints': size.constraints, 'variables': size.variables}
        for size in norm.sizes.values()
    ]
    found = dict(vars(norm))
    info = found.pop('info')
    return (
        asdict(info)
        | found
        | {
            'sizes': sizes,
            'before': _spread(norm.before),
            'after': _spread(norm.after),
            'noise': asdict(norm.noise),
            'gradient': norm.gradient and vars(norm.gradient),
        }
    )


def _spread(spread: Spread) -> dict[str, Any]:
    found = dict(vars(spread))
    del found['correlation']
    found['groups'] = spread.groups and vars(spread.groups)
    return found


def _plain(value: Any) -> Any:
    """Convert to what JSON has: named tuples to dicts, NaN and Inf to None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, '_asdict'):
        value = value._asdict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
