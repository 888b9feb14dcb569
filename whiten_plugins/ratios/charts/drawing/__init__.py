"""Figures as drawings: one for the page, for SVG files and for PNG files."""

from __future__ import annotations

from dataclasses import replace

from ..spec import BarChart, Figure
from .axes import LEFT, RIGHT
from .bars import draw_bars
from .curves import draw_curves
from .marks import Drawing, Group, Mark, Point, Rect, Stroke, Text
from .svg import to_svg, to_svg_file

__all__ = ['Drawing', 'draw', 'draw_sheet', 'save', 'to_svg']

TITLE = 46
LEGEND_ITEM = 62
LETTER = 8.2  # width of a letter of the title


def draw(figure: Figure, top: float = 0) -> Drawing:
    """Draw a figure without its title, with room at the top."""
    if isinstance(figure.chart, BarChart):
        return draw_bars(figure.chart, top)
    return draw_curves(figure.chart, top)


def draw_sheet(figure: Figure) -> Drawing:
    """Draw a figure with its title and a legend above it."""
    drawn = draw(figure, TITLE)
    legend = [stat for stat in figure.chart.stats if stat != 'divergence']
    room = LETTER * len(figure.title) + 24 + LEGEND_ITEM * len(legend)
    width = max(drawn.width, LEFT + room + RIGHT)
    marks: list[Mark | Group] = [
        Text(LEFT, 24, figure.title, 'ink', 15, bold=True)
    ]
    x = width - RIGHT - LEGEND_ITEM * len(legend)
    for stat in legend:
        marks += [*_sample(figure, stat, x), Text(x + 26, 24, stat.upper())]
        x += LEGEND_ITEM
    return replace(drawn, width=width, marks=[*marks, *drawn.marks])


def save(figure: Figure, suffix: str) -> bytes:
    """Draw a figure as the content of a 'png' or 'svg' file."""
    sheet = draw_sheet(figure)
    if suffix == 'svg':
        return to_svg_file(sheet, figure.title).encode()
    from .png import to_png

    return to_png(sheet)


def _sample(figure: Figure, stat: str, x: float) -> list[Mark]:
    if isinstance(figure.chart, BarChart):
        return [Rect(x + 8, 13, 13, 13, stat)]
    if figure.chart.joined:
        return [Stroke([(x, 20), (x + 22, 20)], stat)]
    return [Point(x + 14, 20, stat)]
