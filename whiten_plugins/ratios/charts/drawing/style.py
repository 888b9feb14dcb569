"""Dashes, symbols and the colours that are not a statistic's."""

from typing import NamedTuple

FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif'
NEUTRALS = {
    'ink': '#1c1c1c',
    'grey': '#6b6b6b',
    'grid': '#e3e0da',
    'paper': '#ffffff',
}
LINE_WIDTH = 2
# Pixels drawn and left out, in turn.
DASHES: dict[str, tuple[float, ...]] = {
    'solid': (),
    'dash': (7, 4),
    'dot': (2, 3),
    'dashdot': (7, 3, 2, 3),
    'longdash': (12, 4),
}


class Symbol(NamedTuple):
    """A symbol, as SVG's path from its centre and as matplotlib's marker."""

    path: str
    marker: str


SYMBOLS = {
    'circle': Symbol('m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z', 'o'),
    'square': Symbol('m-3.6 -3.6h7.2v7.2h-7.2z', 's'),
    'diamond': Symbol('m0 -4.8l4.8 4.8l-4.8 4.8l-4.8 -4.8z', 'D'),
    'triangle-up': Symbol('m0 -4.4l4.4 8h-8.8z', '^'),
    'triangle-down': Symbol('m0 4.4l4.4 -8h-8.8z', 'v'),
}
