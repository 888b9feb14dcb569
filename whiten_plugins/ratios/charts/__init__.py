"""The figures of the report: what they show, and how it is drawn.

`contents` turns runs into `Figure` objects of two kinds of chart, rows of
stacked bars and grids of curves (`spec`); `static` draws these with
matplotlib, `interactive` with plotly.
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
