"""Rows of stacked bars."""

from __future__ import annotations

from matplotlib import figure as mpl
from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from ...palette import COLORS, STYLES
from ..layout import BarLayout
from ..spec import BarChart, BarRow
from .style import GREY, LEFT, MIN_WIDTH, RIGHT, TITLE, set_style

BOTTOM = 0.15
HEADINGS, ROW_TITLE = 0.5, 0.26
PANEL, FLAT_PANEL, GAP = 1.35, 0.62, 0.16
MIN_NUMBERED = 0.1  # share of a bar with room for its number


def draw_bars(chart: BarChart) -> mpl.Figure:
    """Draw the rows below one another, with room for a title."""
    layout = chart.layout
    headings = HEADINGS if layout.parts or layout.stages else 0.0
    labels = 0.85 * layout.label_inches if layout.upright else 0.25
    height = TITLE + headings + labels + BOTTOM
    height += sum(
        _panel_height(row) + GAP + ROW_TITLE * bool(row.title)
        for row in chart.rows
    )
    width = max(MIN_WIDTH, LEFT + layout.inches + RIGHT)
    figure = mpl.Figure(figsize=(width, height), facecolor='white')
    top = height - TITLE - headings
    for row in chart.rows:
        top -= ROW_TITLE if row.title else 0
        top -= _panel_height(row)
        axes = _add_axes(figure, top, layout.inches, _panel_height(row))
        _fill_row(axes, row, layout)
        if chart.numbered:
            _number(axes, row)
        if row is chart.rows[0]:
            raised = ROW_TITLE if row.title else 0
            _draw_headings(axes, layout, raised)
        top -= GAP
    axes.set_xticks(
        layout.centers,
        layout.labels,
        rotation=90 if layout.upright else 0,
        fontsize=7 if layout.upright else 9,
        color=GREY,
        parse_math=False,
    )
    axes.tick_params(axis='x', length=0, pad=3)
    return figure


def _panel_height(row: BarRow) -> float:
    return FLAT_PANEL if row.flat else PANEL


def _number(axes: Axes, row: BarRow) -> None:
    drawn = [
        item for item in axes.containers if isinstance(item, BarContainer)
    ]
    for stat, bars in zip(row.stats, drawn):
        heights = [patch.get_height() for patch in bars.patches]
        axes.bar_label(
            bars,
            [f'{h:.2f}' if h > MIN_NUMBERED else '' for h in heights],
            label_type='center',
            fontsize=8,
            color=STYLES[stat].ink,
        )


def _add_axes(
    figure: mpl.Figure, bottom: float, width: float, height: float
) -> Axes:
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes(
        (
            LEFT / whole_width,
            bottom / whole_height,
            width / whole_width,
            height / whole_height,
        )
    )


def _fill_row(axes: Axes, row: BarRow, layout: BarLayout) -> None:
    places = [
        (x, bar) for x, bar in zip(layout.centers, row.bars) if bar is not None
    ]
    bottoms = [0.0] * len(places)
    for stat in row.stats:
        heights = [bar.shares.get(stat, 0.0) for _, bar in places]
        axes.bar(
            [x for x, _ in places],
            heights,
            0.86,
            bottoms,
            color=COLORS[stat],
            edgecolor=(1, 1, 1, 0.6),
            linewidth=0.4,
            hatch=['////' if bar.after_3x3 else '' for _, bar in places],
            hatch_linewidth=0.35,
            label=stat,
        )
        bottoms = [low + high for low, high in zip(bottoms, heights)]
    axes.plot(
        [x for x, bar in places if bar.shortcut],
        [0.06 * row.top for _, bar in places if bar.shortcut],
        linestyle='none',
        marker='s',
        markersize=4,
        color='black',
        markeredgecolor='white',
        markeredgewidth=0.6,
        label='shortcut',
    )
    axes.set(xlim=(0, layout.width), ylim=(0, row.top), xticks=[])
    set_style(axes, row.label)
    if row.flat:
        axes.set_yticks([])
    if row.title:
        _text_above(axes, 0, 0.08, row.title, 9.5, 'black', 'left')


def _text_above(
    axes: Axes,
    x: float,
    inches: float,
    text: str,
    size: float,
    color: str,
    align: str = 'center',
) -> None:
    height = _inches_high(axes)
    axes.text(
        x,
        1 + inches / height,
        text,
        ha=align,
        va='baseline',
        fontsize=size,
        color=color,
        transform=axes.get_xaxis_transform(),
        parse_math=False,
    )


def _inches_high(axes: Axes) -> float:
    figure = axes.figure
    assert isinstance(figure, mpl.Figure)  # of _add_axes, not a subfigure
    return axes.get_position().height * figure.get_figheight()


def _draw_headings(axes: Axes, layout: BarLayout, raised: float) -> None:
    for heading in layout.parts:
        center = (heading.start + heading.end) / 2
        _text_above(axes, center, 0.3 + raised, heading.title, 10, 'black')
        axes.plot(
            (heading.start, heading.end),
            (1 + (0.25 + raised) / _inches_high(axes),) * 2,
            color='black',
            linewidth=0.8,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
    for heading in layout.stages:
        center = (heading.start + heading.end) / 2
        _text_above(axes, center, 0.09 + raised, heading.title, 8, GREY)
