"""Grids of curves or points."""

from __future__ import annotations

from matplotlib import figure as mpl
from matplotlib.axes import Axes

from ...palette import STYLES
from ..spec import CurveChart, Panel
from .style import (
    GREY,
    LEFT,
    LINES,
    MARKERS,
    MIN_WIDTH,
    RIGHT,
    TITLE,
    set_style,
)

MIN_PITCH, ALL_PANELS = 1.9, 5.4  # widths of one, and of a short row
PANEL, GAP = 1.35, 0.3
SPACE = 0.25  # between panels of a row


def draw_curves(chart: CurveChart) -> mpl.Figure:
    """Draw the panels, with room for a title."""
    columns = max(map(len, chart.rows))
    pitch = max(MIN_PITCH, ALL_PANELS / columns)
    height = TITLE + len(chart.rows) * (PANEL + GAP) + 0.45
    width = max(MIN_WIDTH, LEFT + columns * pitch + RIGHT)
    figure = mpl.Figure(figsize=(width, height), facecolor='white')
    top = height - TITLE - GAP
    for number, row in enumerate(chart.rows):
        first = None
        for column, panel in enumerate(row):
            left = LEFT + column * pitch
            axes = figure.add_axes(
                (
                    left / width,
                    (top - PANEL) / height,
                    (pitch - SPACE) / width,
                    PANEL / height,
                ),
                sharey=first,
            )
            first = first or axes
            _fill_panel(axes, panel, chart.joined)
            axes.tick_params(labelleft=column == 0)
            if column:
                axes.set_ylabel('')
            if number == len(chart.rows) - 1:
                axes.set_xlabel(chart.x_title, fontsize=8.5, color=GREY)
            else:
                axes.tick_params(labelbottom=False)
        top -= PANEL + GAP
    return figure


def _fill_panel(axes: Axes, panel: Panel, joined: bool) -> None:
    for curve in panel.curves:
        style = STYLES[curve.stat]
        axes.plot(
            curve.x,
            curve.y,
            color=style.color,
            linestyle=LINES[style.dash] if joined else 'none',
            marker='' if joined else MARKERS[style.symbol],
            linewidth=1.6,
            markersize=4,
            markeredgecolor='white',
            markeredgewidth=0.4,
            label=curve.stat,
        )
    axes.set_ylim(0, panel.top)
    axes.locator_params(axis='x', nbins=4)
    axes.grid(color='#e6e6e6', linewidth=0.6)
    axes.set_axisbelow(True)
    set_style(axes, panel.label)
    axes.set_title(panel.title, fontsize=9.5, parse_math=False)
