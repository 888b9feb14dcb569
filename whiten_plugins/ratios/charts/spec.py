"""What a figure shows, whichever library draws it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from .layout import BarLayout, lay_out_bars


def finite(value: float) -> float:
    """Replace an infinite value, which cannot be drawn, with NaN."""
    return value if math.isfinite(value) else math.nan


def axis_end(values: Iterable[float]) -> float:
    """Return the end of an axis from 0 with room for the finite values."""
    known = [value for value in values if math.isfinite(value)]
    return 1.08 * max(known, default=0.0) or 1.0


@dataclass(frozen=True)
class Bar:
    """A stacked bar.

    Attributes:
        shares: height of each segment by statistic, from the bottom.
        hover: lines of text about it; the first one is its name.
        layer: common name of the layer; empty for an average of layers.
        after_3x3: whether the layer follows a 3×3 convolution.
        shortcut: whether the layer stands in a shortcut.
    """

    shares: dict[str, float]
    hover: list[str]
    layer: str = ''
    after_3x3: bool = False
    shortcut: bool = False


@dataclass(frozen=True)
class BarRow:
    """Bars beside one another.

    Attributes:
        label: what their height means.
        bars: one for each place of the layout; None leaves it empty.
        title: stands above the row.
        top: end of the vertical axis.
        flat: whether it is low, for bars that are all equally high.
    """

    label: str
    bars: Sequence[Bar | None]
    title: str = ''
    top: float = 1.0
    flat: bool = False

    @property
    def stats(self) -> list[str]:
        """The statistics that any bar has."""
        bars = [bar for bar in self.bars if bar]
        return list(dict.fromkeys(s for bar in bars for s in bar.shares))


@dataclass(frozen=True)
class BarChart:
    """Rows of bars that stand at the same places.

    Attributes:
        layout: the places.
        rows: the rows, from the top.
        numbered: whether the bars are wide enough for their numbers.
    """

    layout: BarLayout
    rows: list[BarRow]
    numbered: bool = False

    def part(self, title: str) -> BarChart:
        """Return the same chart with the bars of one part alone."""
        places = self.layout.places
        kept = [i for i, place in enumerate(places) if place[0] == title]
        rows = [
            replace(row, bars=[row.bars[i] for i in kept]) for row in self.rows
        ]
        layout = lay_out_bars([places[i] for i in kept])
        return replace(self, layout=layout, rows=rows)

    @property
    def stats(self) -> list[str]:
        """The statistics in any of the rows."""
        return list(dict.fromkeys(s for row in self.rows for s in row.stats))


@dataclass(frozen=True)
class Curve:
    """Values of one statistic, joined by a line or as points.

    Attributes:
        stat: the statistic, or 'divergence'.
        x, y: the points.
        hover: name of each point; empty where x says enough.
        layers: common name of the layer of each point, if it is one.
        spread: half the length of a bar, or width of a band, at each point.
    """

    stat: str
    x: Sequence[float]
    y: Sequence[float]
    hover: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    spread: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """Curves in one pair of axes.

    Attributes:
        title: stands above it.
        label: what the curves' values are.
        curves: the curves.
        top: end of the vertical axis.
        own_scale: whether a script fills it, and writes where its axis ends.
    """

    title: str
    label: str
    curves: list[Curve]
    top: float = 1.0
    own_scale: bool = False


@dataclass(frozen=True)
class CurveChart:
    """A grid of panels.

    Attributes:
        rows: the panels; the panels of a row share their vertical axis.
        x_title: what x is.
        joined: whether points are joined to lines.
        x_range: first and last x. Default: those of the curves.
    """

    rows: list[list[Panel]]
    x_title: str
    joined: bool = True
    x_range: tuple[float, float] | None = None

    @property
    def stats(self) -> list[str]:
        """The statistics in any of the panels."""
        panels = [panel for row in self.rows for panel in row]
        return list(
            dict.fromkeys(c.stat for panel in panels for c in panel.curves)
        )


@dataclass(frozen=True)
class Figure:
    """A chart with its texts.

    Attributes:
        name: name of its file, without the suffix.
        title: what it shows.
        reading: how to read it, in a sentence or two.
        chart: the chart.
    """

    name: str
    title: str
    reading: str
    chart: BarChart | CurveChart
