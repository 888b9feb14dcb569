"""Ratios averaged over layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from ..analysis.layer_names import locate

MOMENTS = ('mean', 'var')


class HasRatios(Protocol):
    """A layer with ratios of its statistics."""

    @property
    def name(self) -> str:
        """Name of the module in the network."""

    @property
    def stats(self) -> tuple[str, ...]:
        """The statistics that it mixes."""

    @property
    def mean(self) -> dict[str, float]:
        """Ratio of each statistic of the mean."""

    @property
    def var(self) -> dict[str, float]:
        """Ratio of each statistic of the (co)variance."""


Layer = TypeVar('Layer', bound=HasRatios)


def average_ratios(layers: Sequence[HasRatios]) -> dict[str, dict]:
    """Average the ratios over layers, as SN Fig. 1(a).

    A statistic that a layer does not mix counts as 0 there, so averages sum
    to 1 also where layers are of different types.

    Returns:
        dict: The averages of the 'mean' and of the 'var', by statistic.
    """
    stats = dict.fromkeys(stat for layer in layers for stat in layer.stats)
    found = {}
    for moment in MOMENTS:
        shares = [getattr(layer, moment) for layer in layers]
        found[moment] = {
            stat: sum(share.get(stat, 0.0) for share in shares) / len(layers)
            for stat in stats
        }
    return found


def by_stage(layers: Iterable[Layer]) -> dict[str, list[Layer]]:
    """Group the layers of a residual backbone by depth.

    The groups are 'stem', 'layer1' …; other layers are left out.
    """
    return group_layers(layers, lambda layer: locate(layer.name)[1])


def group_layers(
    layers: Iterable[Layer], key: Callable[[Layer], str]
) -> dict[str, list[Layer]]:
    """Group layers by a key; those with an empty one are left out."""
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        if name := key(layer):
            groups.setdefault(name, []).append(layer)
    return groups
