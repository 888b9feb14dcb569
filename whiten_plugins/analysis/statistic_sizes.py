r"""How many values a statistic has, and how much it asks of the output.

A statistic whitens (or, with one row, standardizes) groups of c rows with m
values each, so that the output satisfies

.. math::
    \zeta = \tfrac{c (c + 3)}{2} \quad\text{equations in}\quad
    \chi = c\, m \quad\text{variables}

a group (GW eq. 11–12, Table 1 and appendix D). With more equations than
variables the output can represent nothing: m < (c + 3) / 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..norms.base import WhiteningNorm
from .norms import keeps_statistics, statistics_of


@dataclass(frozen=True)
class StatisticSize:
    """One statistic of a norm on an input of some size.

    Attributes:
        name: 'bn', 'bw', 'in', 'iw', 'ln', 'gn' or 'gw'.
        rows: c, rows that are whitened against each other; 1 where they are
            standardized one by one.
        groups: of c rows each, over all samples that have statistics of
            their own.
        values: m, that stand behind a row.
    """

    name: str
    rows: int
    groups: int
    values: int

    @property
    def constraints(self) -> int:
        """The constraint number of GW Table 1."""
        return self.groups * self.rows * (self.rows + 3) // 2

    @property
    def variables(self) -> int:
        """Values of the output that the constraints are on."""
        return self.groups * self.rows * self.values


def statistic_sizes(
    norm: nn.Module,
    num_samples: int,
    map_size: Sequence[int],
    processes: int = 1,
) -> dict[str, StatisticSize]:
    """Return the statistics that a norm would take from an input.

    What the input leaves undefined is absent, and so are statistics of the
    batch where the norm uses its running ones instead.

    Args:
        norm: the norm, in the mode that it is to be judged in.
        num_samples: N, images, or RoIs in the head of a detector.
        map_size: trailing sizes of the input, (H, W); empty for (N, C).
        processes: that share the statistics of a Sync norm.

    Returns:
        dict: By the names of the statistics, in the order of the norm's.
    """
    size = math.prod(map_size)
    rows, slots, channels = _rows(norm)
    batch = num_samples * size * processes
    uses_batch = norm.training or not keeps_statistics(norm)
    found = {
        'bn': (1, channels, batch * uses_batch),
        'bw': (rows, channels // rows, batch * uses_batch),
        'in': (1, num_samples * channels, size),
        'iw': (rows, num_samples * channels // rows, size),
        'ln': (1, num_samples, channels * size),
        'gn': (1, num_samples * rows, slots * size),
        'gw': (rows, num_samples, slots * size),
    }
    if isinstance(norm, nn.LayerNorm):
        found['ln'] = (1, num_samples * size, channels)  # each position
    return {
        name: StatisticSize(name, *found[name])
        for name in statistics_of(norm)
        if found[name][2] > 1
    }


def largest_rows(values: int, divides: int) -> int:
    """Return the most rows whose constraints one sample can satisfy.

    The number of rows divides the ``divides`` channels, and each row has
    its share of ``values``.

    g (g + 3) / 2 <= values, the range of g in GW Table 1.
    """
    fitting = [
        g
        for g in range(1, divides + 1)
        if divides % g == 0 and g * (g + 3) // 2 <= values
    ]
    return max(fitting, default=1)


def _rows(norm: Any) -> tuple[int, int, int]:
    """Return rows of a group, channels in a row (GN, GW), and channels."""
    if isinstance(norm, WhiteningNorm):
        rows = norm.spec.num_rows
        return rows, norm.num_features // rows, norm.num_features
    if isinstance(norm, nn.GroupNorm):
        channels, groups = norm.num_channels, norm.num_groups
        return groups, channels // groups, channels
    shape = getattr(norm, 'normalized_shape', None)
    channels = math.prod(shape) if shape else norm.num_features
    return 1, channels, channels
