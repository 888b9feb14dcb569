"""What a drawing is made of. All lengths are pixels of a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

Anchor = Literal['start', 'middle', 'end']


@dataclass(frozen=True)
class Rect:
    """A filled rectangle.

    Attributes:
        paint: a statistic, 'slashes' (a pattern over it) or 'ink'.
    """

    x: float
    y: float
    width: float
    height: float
    paint: str


@dataclass(frozen=True)
class Line:
    """A straight line; `paint` is 'ink' or 'grid'."""

    x1: float
    y1: float
    x2: float
    y2: float
    paint: str


@dataclass(frozen=True)
class Stroke:
    """A line through points, in colour and dash of a statistic."""

    points: Sequence[tuple[float, float]]
    stat: str


@dataclass(frozen=True)
class Band:
    """A pale area between two lines, in the colour of a statistic."""

    points: Sequence[tuple[float, float]]
    stat: str


@dataclass(frozen=True)
class Point:
    """The symbol of a statistic."""

    x: float
    y: float
    stat: str


@dataclass(frozen=True)
class Text:
    """A line of text on its baseline.

    Attributes:
        paint: 'ink' or 'grey', or 'on-' with a statistic for text upon it.
        turned: whether it reads from bottom to top.
        name: what a script finds it by.
    """

    x: float
    y: float
    text: str
    paint: str = 'grey'
    size: float = 12
    anchor: Anchor = 'start'
    turned: bool = False
    bold: bool = False
    name: str = ''


Mark = Rect | Line | Stroke | Band | Point | Text


@dataclass(frozen=True)
class Group:
    """Marks that stand for one thing.

    Attributes:
        marks: the marks.
        hover: lines of text about it; the first one is its name.
        layer: the layer it stands for, if it is one.
    """

    marks: list[Mark]
    hover: Sequence[str]
    layer: str = ''


@dataclass(frozen=True)
class Area:
    """Where the curves of a panel are drawn, and what they are.

    Attributes:
        left, top, width, height: the area.
        x_range: the values at its left and right edge.
        y_top: the value at its upper edge; the lower one is 0.
        x: where the curves have points; empty unless all have the same.
        curves: values and spreads of each statistic.
    """

    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    y_top: float
    x: Sequence[float] = ()
    curves: Sequence[tuple[str, Sequence[float], Sequence[float]]] = ()

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a value is drawn."""
        low, high = self.x_range
        return (
            self.left + self.width * (x - low) / (high - low),
            self.top + self.height * (1 - y / self.y_top),
        )


@dataclass(frozen=True)
class Drawing:
    """Marks on a sheet, the later ones above the earlier ones.

    Attributes:
        width, height: size of the sheet.
        marks: the marks and groups of them.
        areas: the areas of the panels of curves.
    """

    width: float
    height: float
    marks: list[Mark | Group]
    areas: list[Area] = field(default_factory=list)

    def flat(self) -> Iterator[Mark]:
        """Iterate over the marks, those of groups too."""
        for mark in self.marks:
            if isinstance(mark, Group):
                yield from mark.marks
            else:
                yield mark
