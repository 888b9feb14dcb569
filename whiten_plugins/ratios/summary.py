"""Summarize the ratios of many layers.

Computes averages, divergence, hard choices and changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from ..analysis.layer_names import common_name
from ..analysis.receptive_field import IMAGE, ROI
from ..checkpoints.averages import (
    MOMENTS,
    HasRatios,
    average_ratios,
    by_stage,
    group_layers,
)
from .layers import LayerRatios

__all__ = [
    'FIELD_EDGES',
    'MOMENTS',
    'Change',
    'Groups',
    'average',
    'averages_by_part',
    'by_part',
    'by_receptive_field',
    'by_stage',
    'changed_choices',
    'changes',
    'choice',
    'divergence',
    'evenly_spaced',
    'split_choices',
]

FIELD_EDGES = (49, 99, 199, 299)  # pixels, as SN Fig. 7
Groups = dict[str, list[LayerRatios]]
Item = TypeVar('Item')


def average(layers: Sequence[LayerRatios]) -> dict:
    """Average the ratios and their divergence over layers.

    Returns:
        dict: The number of 'layers' and the average ratios 'mean' and 'var',
        a dict by statistic each, as
        :func:`~whiten_plugins.checkpoints.averages.average_ratios` has them,
        and the average 'divergence'.
    """
    return {
        'layers': len(layers),
        **average_ratios(layers),
        'divergence': sum(map(divergence, layers)) / len(layers),
    }


def averages_by_part(layers: Sequence[LayerRatios]) -> dict[str, dict]:
    """Compute the `average` of each part of the network and of 'all'."""
    groups = {**by_part(layers), 'all': layers}
    return {name: average(group) for name, group in groups.items()}


def by_part(layers: Iterable[LayerRatios]) -> Groups:
    """Group layers by part of the network, such as 'backbone' or 'FPN'."""
    return group_layers(layers, lambda layer: layer.part)


def by_receptive_field(layers: Iterable[LayerRatios]) -> Groups:
    """Group layers by the ranges of receptive fields of SN Fig. 7.

    Layers that see a pooled image or RoI come last; layers without a known
    receptive field are left out.
    """
    groups = group_layers(layers, _field_range)
    order = [*_field_ranges(), IMAGE, ROI]
    return {name: groups[name] for name in order if name in groups}


def divergence(layer: LayerRatios) -> float:
    """Measure how far apart a layer's mean and variance ratios p, q are.

    The symmetric Kullback-Leibler divergence KL(p‖q) + KL(q‖p) =
    sum_k (p_k - q_k) (ln p_k - ln q_k) of SN section 4.1.4: 0 for equal
    ratios, infinite where one is 0 and the other is not (hard ratios).
    """
    total = 0.0
    for p, q in zip(layer.mean.values(), layer.var.values()):
        if p != q:
            total += math.inf if 0 in (p, q) else (p - q) * math.log(p / q)
    return total


def evenly_spaced(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most so many of the items, the last one among them."""
    shown = min(len(items), most)
    ends = [round(len(items) * (i + 1) / shown) for i in range(shown)]
    return [items[end - 1] for end in ends]


def choice(layer: HasRatios) -> tuple[str, str]:
    """Return the hard ratios, for the mean and for the variance.

    Each is the statistic with the largest ratio, the first one in case of a
    tie.
    """
    mean, var = (
        max(layer.stats, key=getattr(layer, moment).__getitem__)
        for moment in MOMENTS
    )
    return mean, var


def split_choices(layers: Iterable[LayerRatios]) -> list[str]:
    """Name the layers whose choices for mean and variance differ."""
    return [layer.name for layer in layers if len(set(choice(layer))) > 1]


def changed_choices(
    snapshots: Sequence[Sequence[LayerRatios]],
) -> list[list[str]]:
    """Name the layers whose choices changed between snapshots (SN Fig. 8).

    A layer counts if its choice for the mean or for the variance differs from
    that in the previous snapshot.

    Args:
        snapshots: the layers at several times, in the same order.

    Returns:
        list[list[str]]: One list fewer than snapshots.
    """
    return [
        [new.name for old, new in zip(*pair) if choice(old) != choice(new)]
        for pair in pairwise(snapshots)
    ]


@dataclass(frozen=True)
class Change:
    """How a layer's ratios differ between two checkpoints.

    Attributes:
        layer: its name.
        moment: 'mean' or 'var'.
        before: ratio of each statistic in the first checkpoint.
        after: likewise in the other one.
    """

    layer: str
    moment: str
    before: dict[str, float]
    after: dict[str, float]

    @property
    def distance(self) -> float:
        """The share that moved to other statistics, from 0 to 1.

        This is the total variation distance.
        """
        stats = {*self.before, *self.after}
        return 0.5 * sum(abs(self.difference(stat)) for stat in stats)

    @property
    def stat(self) -> str:
        """The statistic whose ratio differs most."""
        stats = dict.fromkeys([*self.before, *self.after])
        return max(stats, key=lambda stat: abs(self.difference(stat)))

    def difference(self, stat: str) -> float:
        """Return ratio after minus before; one that is not mixed is 0."""
        return self.after.get(stat, 0.0) - self.before.get(stat, 0.0)


def changes(
    before: Iterable[LayerRatios], after: Iterable[LayerRatios]
) -> list[Change]:
    """Compare the layers that two checkpoints have in common.

    The largest difference comes first.
    """
    old = {common_name(layer.name): layer for layer in before}
    pairs = [(old.get(common_name(layer.name)), layer) for layer in after]
    found = [
        Change(new.name, moment, getattr(first, moment), getattr(new, moment))
        for first, new in pairs
        if first is not None
        for moment in MOMENTS
    ]
    return sorted(found, key=lambda change: -change.distance)


def _field_ranges() -> list[str]:
    inner = [f'{low}–{high - 1}' for low, high in pairwise(FIELD_EDGES)]
    return [f'< {FIELD_EDGES[0]}', *inner, f'≥ {FIELD_EDGES[-1]}']


def _field_range(layer: LayerRatios) -> str:
    extent = layer.receptive_field
    if not isinstance(extent, int):
        return extent or ''
    return _field_ranges()[sum(extent >= edge for edge in FIELD_EDGES)]
