"""Figures as pictures, drawn with matplotlib. All lengths are in inches."""

from __future__ import annotations

import io

from matplotlib import figure as mpl
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...palette import STYLES
from ..spec import BarChart, Figure
from .bars import draw_bars
from .curves import draw_curves
from .style import LEFT, LINES, RIGHT

DPI = 200
MAX_PIXELS = 2**16 - 1  # a side, of matplotlib's PNG writer


def draw(figure: Figure) -> mpl.Figure:
    """Draw a figure with its title and legend."""
    if isinstance(figure.chart, BarChart):
        drawn = draw_bars(figure.chart)
    else:
        drawn = draw_curves(figure.chart)
    _draw_title(drawn, figure)
    return drawn


def save(figure: Figure, suffix: str) -> bytes:
    """Draw a figure as the content of a 'png' or 'svg' file."""
    drawn = draw(figure)
    buffer = io.BytesIO()
    longest = max(drawn.get_size_inches())
    with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': figure.name}):
        drawn.savefig(
            buffer,
            dpi=min(DPI, MAX_PIXELS // longest),
            format=suffix,
            metadata={'Date': None} if suffix == 'svg' else None,
        )
    return buffer.getvalue()


def _draw_title(drawn: mpl.Figure, figure: Figure) -> None:
    width, height = drawn.get_size_inches()
    y = 1 - 0.22 / height
    drawn.text(
        LEFT / width,
        y,
        figure.title,
        fontsize=12,
        fontweight='bold',
        va='center',
        parse_math=False,
    )
    lines = not isinstance(figure.chart, BarChart) and figure.chart.joined
    drawn.legend(
        handles=[
            _legend_handle(stat, lines)
            for stat in figure.chart.stats
            if stat != 'divergence'
        ],
        loc='center right',
        bbox_to_anchor=(1 - RIGHT / width, y),
        ncols=6,
        frameon=False,
        fontsize=9,
        handlelength=2 if lines else 1,
        handleheight=1,
        columnspacing=1.2,
        borderpad=0,
        borderaxespad=0,
    )


def _legend_handle(stat: str, line: bool) -> Artist:
    style, label = STYLES[stat], stat.upper()
    if not line:
        return Patch(color=style.color, label=label)
    linestyle = LINES[style.dash]
    return Line2D([], [], color=style.color, linestyle=linestyle, label=label)
