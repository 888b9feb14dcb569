"""Axes: where their ticks stand, and how they are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .marks import Line, Mark, Text

LEFT, RIGHT = 62, 16  # beside the panels
_STEPS = (1, 2, 2.5, 5, 10)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most so many round values between two values."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * factor for factor in _STEPS):
        first, last = math.ceil(low / step), math.floor(high / step + 1e-9)
        if last - first < most:
            return [i * step for i in range(first, last + 1)]
    return [low, high]


def tick_text(value: float) -> str:
    """Format the value of a tick, with no more digits than it has."""
    return f'{value:.10g}'


def vertical_axis(
    left: float,
    width: float,
    top: float,
    height: float,
    end: float,
    *,
    numbered: bool = True,
    values: Sequence[float] | None = None,
) -> list[Mark]:
    """Draw the grid of values from 0 to `end`, with their numbers."""
    marks: list[Mark] = []
    shown = ticks(0, end, 4) if values is None else values
    for value in shown:
        y = top + height * (1 - value / end)
        marks.append(Line(left, y, left + width, y, 'grid'))
        if numbered:
            text = tick_text(value)
            marks.append(Text(left - 7, y + 4, text, size=11, anchor='end'))
    return marks


def axis_label(text: str, top: float, height: float) -> Text:
    """Write beside a panel what its values are."""
    middle = top + height / 2
    return Text(16, middle, text, size=12, anchor='middle', turned=True)
