"""Mean and spread over runs of one network, such as those of several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from ..analysis.layer_names import common_name
from .layers import LayerRatios
from .runs import Run
from .summary import MOMENTS, divergence


@dataclass(frozen=True)
class Across:
    """A quantity over runs.

    Attributes:
        mean: its mean.
        spread: its standard deviation, with one degree of freedom less.
    """

    mean: float
    spread: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Across:
        """Summarize the values of two or more runs."""
        if not all(map(math.isfinite, values)):
            return cls(math.nan, math.nan)
        return cls(fmean(values), stdev(values))


@dataclass(frozen=True)
class LayerAcross:
    """The ratios of one layer over runs.

    Attributes:
        layer: the layer in the first run.
        mean: the ratio of each statistic of the mean.
        var: that of the (co)variance.
        divergence: the divergence between the two.
    """

    layer: LayerRatios
    mean: dict[str, Across]
    var: dict[str, Across]
    divergence: Across


def are_alike(runs: Sequence[Run]) -> bool:
    """Return whether two or more runs have the same layers and statistics."""
    layers = {_layers(run) for run in runs}
    return len(runs) > 1 and len(layers) == 1


def across(runs: Sequence[Run]) -> list[LayerAcross]:
    """Summarize every layer over runs.

    Args:
        runs: the runs.

    Returns:
        list[LayerAcross]: the layers in the order of the first run; none
        unless the runs are alike.
    """
    if not are_alike(runs):
        return []
    found = []
    named = [{common_name(i.name): i for i in run.layers} for run in runs]
    for layer in runs[0].layers:
        same = [layers[common_name(layer.name)] for layers in named]
        moments = {
            moment: {
                stat: Across.of([getattr(i, moment)[stat] for i in same])
                for stat in layer.stats
            }
            for moment in MOMENTS
        }
        apart = Across.of([divergence(i) for i in same])
        found.append(LayerAcross(layer, **moments, divergence=apart))
    return found


def have_the_same_times(runs: Sequence[Run]) -> bool:
    """Return whether all runs have several snapshots at the same times."""
    times = {(run.time_axis, *run.times) for run in runs}
    return len(times) == 1 and len(runs[0].snapshots) > 1


def _layers(run: Run) -> frozenset[tuple[str, tuple[str, ...]]]:
    return frozenset((common_name(i.name), i.stats) for i in run.layers)
