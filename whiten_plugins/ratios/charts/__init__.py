"""The figures of the report: what they show, and how it is drawn.

`contents` turns runs into `Figure` objects of two kinds of chart, rows of
stacked bars and grids of curves (`spec`); `drawing` lays these out once, for
the page and for files.
"""

from .contents import make_figures
from .spec import Bar, BarChart, BarRow, Curve, CurveChart, Figure, Panel

__all__ = [
    'Bar',
    'BarChart',
    'BarRow',
    'Curve',
    'CurveChart',
    'Figure',
    'Panel',
    'make_figures',
]
