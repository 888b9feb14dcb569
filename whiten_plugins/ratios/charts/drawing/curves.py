"""Grids of curves or points."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from ..spec import Curve, CurveChart, Panel
from .axes import LEFT, RIGHT, axis_label, tick_text, ticks, vertical_axis
from .marks import Area, Band, Drawing, Group, Line, Mark, Point, Stroke, Text

PANEL, GAP, SPACE = 118, 26, 20
OWN_SCALE = 30  # more space, for the numbers of an axis
MIN_WIDTH, ALL_PANELS = 130, 1000  # of one panel, and of a short row
FOOT = 44
MARGIN = 0.03  # of the horizontal range, beside points


def draw_curves(chart: CurveChart, top: float = 0) -> Drawing:
    """Draw the panels in rows, from `top` downwards."""
    columns = max(map(len, chart.rows))
    width = max(MIN_WIDTH, ALL_PANELS / columns)
    x_range = _x_range(chart)
    marks: list[Mark | Group] = []
    areas = []
    y = top
    for row in chart.rows:
        y += GAP
        left: float = LEFT
        for column, panel in enumerate(row):
            left += OWN_SCALE * panel.own_scale
            area = _area(panel, left, y, width, x_range, chart.joined)
            areas.append(area)
            marks += _panel(panel, area, first=column == 0)
            marks += _upright_grid(area, numbered=row is chart.rows[-1])
            for curve in panel.curves:
                marks += _curve(curve, area, chart.joined)
            left += width + SPACE
        y += PANEL
    end = max(area.left + area.width for area in areas)
    middle = (LEFT + end) / 2
    marks.append(Text(middle, y + 36, chart.x_title, 'grey', 12, 'middle'))
    return Drawing(end + RIGHT, y + FOOT, marks, areas)


def _x_range(chart: CurveChart) -> tuple[float, float]:
    known = [
        x
        for row in chart.rows
        for panel in row
        for curve in panel.curves
        for x in curve.x
    ]
    low, high = chart.x_range or (min(known), max(known))
    if low == high:
        return low - 1, high + 1
    room = 0 if chart.joined else MARGIN * (high - low)
    return low - room, high + room


def _area(
    panel: Panel,
    left: float,
    top: float,
    width: float,
    x_range: tuple[float, float],
    joined: bool,
) -> Area:
    shared = list(panel.curves[0].x) if joined and panel.curves else []
    alike = all(list(curve.x) == shared for curve in panel.curves)
    curves = [(curve.stat, curve.y, curve.spread) for curve in panel.curves]
    return Area(
        left,
        top,
        width,
        PANEL,
        x_range,
        panel.top,
        shared if alike else [],
        curves if alike and joined else [],
    )


def _panel(panel: Panel, area: Area, first: bool) -> list[Mark]:
    middle = area.left + area.width / 2
    marks: list[Mark] = []
    if panel.title:
        title = Text(middle, area.top - 8, panel.title, 'ink', 13, 'middle')
        marks.append(title)
    marks += vertical_axis(
        area.left,
        area.width,
        area.top,
        area.height,
        area.y_top,
        numbered=first or panel.own_scale,
        values=(0, area.y_top) if panel.own_scale else None,
    )
    if panel.own_scale and isinstance(last := marks[-1], Text):
        # A script writes the value of this layer there.
        named = Text(last.x, last.y, '', 'grey', 11, 'end', name='top')
        marks[-1] = named
    if first:
        marks.append(axis_label(panel.label, area.top, area.height))
    return marks


def _upright_grid(area: Area, numbered: bool) -> list[Mark]:
    marks: list[Mark] = []
    bottom = area.top + area.height
    for value in ticks(*area.x_range, most=max(3, int(area.width / 55))):
        x, _ = area.at(value, 0)
        marks.append(Line(x, area.top, x, bottom, 'grid'))
        if numbered:
            text = tick_text(value)
            marks.append(Text(x, bottom + 16, text, 'grey', 11, 'middle'))
    return marks


def _curve(curve: Curve, area: Area, joined: bool) -> list[Mark | Group]:
    places = list(zip(curve.x, curve.y))
    spread = list(curve.spread) or [0.0] * len(places)
    if not joined:
        return [
            _point(curve, area, i, spread[i])
            for i, (_, y) in enumerate(places)
            if math.isfinite(y)
        ]
    marks: list[Mark | Group] = []
    for run in _unbroken(curve.y):
        inside = [(*places[i], spread[i]) for i in run]
        if curve.spread:
            above = [area.at(x, min(area.y_top, y + s)) for x, y, s in inside]
            below = [area.at(x, max(0, y - s)) for x, y, s in inside]
            marks.append(Band([*above, *reversed(below)], curve.stat))
        points = [area.at(x, y) for x, y, _ in inside]
        marks.append(Stroke(points, curve.stat))
    return marks


def _point(curve: Curve, area: Area, index: int, spread: float) -> Group:
    x, y = curve.x[index], curve.y[index]
    marks: list[Mark] = []
    if spread:
        ends = (max(0, y - spread), min(area.y_top, y + spread))
        marks.append(Stroke([area.at(x, end) for end in ends], curve.stat))
    marks.append(Point(*area.at(x, y), curve.stat))
    name = curve.hover[index] if curve.hover else ''
    value = f'{curve.stat} {y:.3f}' + f' ± {spread:.3f}' * bool(curve.spread)
    layer = curve.layers[index] if curve.layers else ''
    return Group(marks, [name, value], layer)


def _unbroken(values: Sequence[float]) -> Iterator[list[int]]:
    """Iterate over the stretches of values that are known."""
    known = groupby(range(len(values)), lambda i: math.isfinite(values[i]))
    return (list(run) for finite, run in known if finite)
