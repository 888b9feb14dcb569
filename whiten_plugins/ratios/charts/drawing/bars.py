"""Rows of stacked bars."""

from __future__ import annotations

from ..layout import BarLayout
from ..spec import Bar, BarChart, BarRow
from .axes import LEFT, RIGHT, axis_label, vertical_axis
from .marks import Drawing, Group, Line, Mark, Rect, Text

INCH = 96  # pixels
BAR = 0.86  # share of the pitch
PARTS, STAGES, ROW_TITLE = 26, 20, 26
PANEL, FLAT_PANEL, GAP = 132, 58, 18
MIN_NUMBERED = 0.14  # share of a bar with room for its number
SQUARE = 6


def draw_bars(chart: BarChart, top: float = 0) -> Drawing:
    """Draw the rows below one another, from `top` downwards."""
    layout = chart.layout
    marks: list[Mark | Group] = [*_headings(layout, top)]
    y = top + STAGES * bool(layout.stages) + PARTS * bool(layout.parts) + 4
    for row in chart.rows:
        if row.title:
            marks.append(Text(LEFT, y + 16, row.title, 'ink', 13))
            y += ROW_TITLE
        height = FLAT_PANEL if row.flat else PANEL
        marks += _row(row, chart, y, height)
        y += height + GAP
    y -= GAP
    marks += _labels(layout, y)
    y += 16 + (layout.label_inches * INCH if layout.upright else 8)
    return Drawing(_right(layout) + RIGHT, y, marks)


def _pixels(layout: BarLayout, x: float) -> float:
    return LEFT + x * layout.pitch * INCH


def _right(layout: BarLayout) -> float:
    return _pixels(layout, layout.width)


def _headings(layout: BarLayout, top: float) -> list[Mark]:
    marks: list[Mark] = []
    for part in layout.parts:
        start, end = (_pixels(layout, x) for x in (part.start, part.end))
        middle = (start + end) / 2
        marks.append(Text(middle, top + 16, part.title, 'ink', 13, 'middle'))
        marks.append(Line(start, top + 22, end, top + 22, 'ink'))
    base = top + PARTS * bool(layout.parts) + 14
    for stage in layout.stages:
        middle = _pixels(layout, (stage.start + stage.end) / 2)
        marks.append(Text(middle, base, stage.title, size=11, anchor='middle'))
    return marks


def _row(
    row: BarRow, chart: BarChart, top: float, height: float
) -> list[Mark | Group]:
    layout = chart.layout
    marks: list[Mark | Group] = [axis_label(row.label, top, height)]
    if not row.flat:
        width = _right(layout) - LEFT
        marks += vertical_axis(LEFT, width, top, height, row.top)
    for x, bar in zip(layout.centers, row.bars):
        if bar is not None:
            inside = _bar(bar, row, chart, _pixels(layout, x), top, height)
            marks.append(Group(inside, bar.hover, bar.layer))
    return marks


def _bar(
    bar: Bar,
    row: BarRow,
    chart: BarChart,
    middle: float,
    top: float,
    height: float,
) -> list[Mark]:
    width = BAR * chart.layout.pitch * INCH
    left, y = middle - width / 2, top + height
    marks: list[Mark] = []
    numbers: list[Mark] = []
    for stat, share in bar.shares.items():
        if not share > 0:  # nor where it is unknown
            continue
        size = height * share / row.top
        y -= size
        marks.append(Rect(left, y, width, size, stat))
        if chart.numbered and share > MIN_NUMBERED * row.top:
            text, paint = f'{share:.2f}', f'on-{stat}'
            base = y + size / 2 + 4
            numbers.append(Text(middle, base, text, paint, 12, 'middle'))
    if bar.after_3x3 and marks:
        marks.append(Rect(left, y, width, top + height - y, 'slashes'))
    if bar.shortcut:
        corner = middle - SQUARE / 2, top + 0.94 * height - SQUARE / 2
        marks.append(Rect(*corner, SQUARE, SQUARE, 'ink'))
    return marks + numbers


def _labels(layout: BarLayout, y: float) -> list[Mark]:
    marks: list[Mark] = []
    for x, label in zip(layout.centers, layout.labels):
        middle = _pixels(layout, x)
        if layout.upright:
            mark = Text(middle + 4, y + 7, label, 'grey', 11, 'end', True)
        else:
            mark = Text(middle, y + 16, label, 'grey', 12, 'middle')
        marks.append(mark)
    return marks
