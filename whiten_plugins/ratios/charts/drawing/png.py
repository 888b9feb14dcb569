"""Paint a drawing as a PNG file, with matplotlib's rasterizer."""

from __future__ import annotations

import io
from typing import Literal

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle
from matplotlib.text import Text as MplText
from matplotlib.transforms import Affine2D, Transform

from ...palette import STYLES
from .marks import Anchor, Band, Drawing, Line, Mark, Point, Rect, Stroke, Text
from .style import DASHES, LINE_WIDTH, NEUTRALS, SYMBOLS

DPI = 200
MAX_PIXELS = 2**16 - 1  # a side, of matplotlib's PNG writer
INCH, POINT = 96, 0.75  # pixels in an inch, points in a pixel
_ALIGN: dict[Anchor, Literal['left', 'center', 'right']] = {
    'start': 'left',
    'middle': 'center',
    'end': 'right',
}


def to_png(drawing: Drawing) -> bytes:
    """Return the content of the file."""
    figure = paint(drawing)
    buffer = io.BytesIO()
    longest = max(figure.get_size_inches())
    dpi = min(DPI, MAX_PIXELS // longest)
    with rc_context({'hatch.linewidth': 0.35}):
        figure.savefig(buffer, dpi=dpi, format='png')
    return buffer.getvalue()


def paint(drawing: Drawing) -> Figure:
    """Return matplotlib's figure with an artist for each mark."""
    size = drawing.width / INCH, drawing.height / INCH
    figure = Figure(figsize=size, facecolor=NEUTRALS['paper'])
    to_figure = (
        Affine2D().scale(1 / INCH, -1 / INCH).translate(0, size[1])
        + figure.dpi_scale_trans
    )
    for order, mark in enumerate(drawing.flat()):
        artist = _artist(mark, to_figure)
        artist.set_zorder(order)
        figure.add_artist(artist)
    return figure


def _artist(mark: Mark, transform: Transform) -> Artist:
    if isinstance(mark, Rect):
        return _rectangle(mark, transform)
    if isinstance(mark, Text):
        return _text(mark, transform)
    if isinstance(mark, Band):
        color = _color(mark.stat)
        return Polygon(
            mark.points,
            facecolor=color,
            edgecolor='none',
            alpha=0.22,
            transform=transform,
        )
    return _line(mark, transform)


def _rectangle(mark: Rect, transform: Transform) -> Rectangle:
    place = ((mark.x, mark.y), mark.width, mark.height)
    if mark.paint == 'slashes':
        return Rectangle(
            *place,
            fill=False,
            hatch='////',
            edgecolor=(1, 1, 1, 0.6),
            linewidth=0,
            transform=transform,
        )
    return Rectangle(
        *place,
        facecolor=_color(mark.paint),
        edgecolor=NEUTRALS['paper'],
        linewidth=0.6 * POINT,
        transform=transform,
    )


def _line(mark: Line | Stroke | Point, transform: Transform) -> Line2D:
    if isinstance(mark, Line):
        return Line2D(
            (mark.x1, mark.x2),
            (mark.y1, mark.y2),
            color=_color(mark.paint),
            linewidth=POINT,
            transform=transform,
        )
    style = STYLES[mark.stat]
    if isinstance(mark, Point):
        return Line2D(
            (mark.x,),
            (mark.y,),
            color=style.color,
            linestyle='none',
            marker=SYMBOLS[style.symbol].marker,
            markersize=8 * POINT,
            markeredgecolor=NEUTRALS['paper'],
            markeredgewidth=0.7 * POINT,
            transform=transform,
        )
    xs, ys = zip(*mark.points)
    # matplotlib counts dashes in widths of the line.
    dash = tuple(length / LINE_WIDTH for length in DASHES[style.dash])
    return Line2D(
        xs,
        ys,
        color=style.color,
        linewidth=LINE_WIDTH * POINT,
        linestyle=(0, dash) if dash else 'solid',
        transform=transform,
    )


def _text(mark: Text, transform: Transform) -> MplText:
    return MplText(
        mark.x,
        mark.y,
        mark.text,
        color=_color(mark.paint),
        fontsize=mark.size * POINT,
        fontweight='bold' if mark.bold else 'normal',
        horizontalalignment=_ALIGN[mark.anchor],
        verticalalignment='baseline',
        rotation=90 if mark.turned else 0,
        rotation_mode='anchor',
        parse_math=False,
        transform=transform,
    )


def _color(name: str) -> str:
    if name.startswith('on-'):
        return STYLES[name[3:]].ink
    return STYLES[name].color if name in STYLES else NEUTRALS[name]
