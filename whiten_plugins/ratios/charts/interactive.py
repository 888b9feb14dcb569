"""Figures for the browser, made with plotly."""

from __future__ import annotations

from html import escape

from plotly import graph_objects as go
from plotly.subplots import make_subplots

from ..palette import COLORS, STYLES
from .layout import BarLayout
from .spec import BarChart, BarRow, CurveChart, Figure

INCH = 96  # pixels
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'
INK, GREY, FAINT = '#1c1c1c', '#6b6b6b', '#e8e6e1'
LEFT, RIGHT = 62, 16
MIN_NUMBERED = 0.14  # share of a bar with room for its number
PARTS, STAGES, ROW_TITLE = 26, 20, 26
BAR_PANEL, FLAT_PANEL, BAR_GAP = 132, 58, 18
CURVE_PANEL, CURVE_GAP = 118, 26


def draw(figure: Figure) -> go.Figure:
    """Draw a figure without its title.

    Its ``layout.meta`` holds the width it needs in pixels and the range of
    each part of the network on the x axis.
    """
    if isinstance(figure.chart, BarChart):
        return _draw_bars(figure.chart)
    return _draw_curves(figure.chart)


def _draw_bars(chart: BarChart) -> go.Figure:
    layout = chart.layout
    headings = STAGES * bool(layout.stages) + PARTS * bool(layout.parts)
    labels = 14 + INCH * (layout.label_inches if layout.upright else 0.18)
    tops, depth = [], 0.0
    for row in chart.rows:
        depth += ROW_TITLE if row.title else 0
        tops.append(depth)
        depth += _panel_height(row) + BAR_GAP
    plot = depth - BAR_GAP
    drawn = go.Figure()
    for number, (row, top) in enumerate(zip(chart.rows, tops), start=1):
        axis = '' if number == 1 else str(number)
        _add_row(drawn, row, chart, f'y{axis}')
        drawn.layout[f'yaxis{axis}'] = {
            'domain': (1 - (top + _panel_height(row)) / plot, 1 - top / plot),
            'range': (0, row.top),
            'title': {'text': escape(row.label), 'standoff': 8},
            'nticks': 4,
            'showticklabels': not row.flat,
            'showgrid': not row.flat,
        }
        if row.title:
            _add_text(drawn, row.title, 0, 1 - top / plot, 4, 'paper')
    _add_headings(drawn, layout)
    drawn.update_layout(
        **_common(plot + headings + 4 + labels, headings + 4, labels),
        barmode='stack',
        bargap=0.14,
        meta={
            'width': round(LEFT + RIGHT + layout.inches * INCH),
            'parts': {
                part.title: (part.start - 0.3, part.end + 0.3)
                for part in layout.parts
            },
        },
    )
    last = len(chart.rows)
    drawn.update_xaxes(
        range=(-0.3, layout.width + 0.3),
        tickvals=layout.centers,
        ticktext=[escape(label) for label in layout.labels],
        tickangle=-90 if layout.upright else 0,
        anchor='y' if last == 1 else f'y{last}',
        showgrid=False,
        fixedrange=False,
    )
    drawn.update_yaxes(fixedrange=True, zeroline=False, gridcolor=FAINT)
    return drawn


def _panel_height(row: BarRow) -> int:
    return FLAT_PANEL if row.flat else BAR_PANEL


def _add_row(
    drawn: go.Figure, row: BarRow, chart: BarChart, axis: str
) -> None:
    places = [
        (x, bar)
        for x, bar in zip(chart.layout.centers, row.bars)
        if bar is not None
    ]
    xs = [x for x, _ in places]
    hover = [
        '<br>'.join([f'<b>{escape(bar.hover[0])}</b>', *map(escape, rest)])
        for _, bar in places
        for rest in [bar.hover[1:]]
    ]
    slashes = ['/' if bar.after_3x3 else '' for _, bar in places]
    for stat in row.stats:
        heights = [bar.shares.get(stat, 0.0) for _, bar in places]
        numbers = [f'{h:.2f}' if h > MIN_NUMBERED else '' for h in heights]
        drawn.add_bar(
            x=xs,
            y=heights,
            text=numbers if chart.numbered else None,
            textangle=0,
            insidetextanchor='middle',
            insidetextfont={'color': STYLES[stat].ink, 'size': 12.5},
            yaxis=axis,
            name=stat,
            width=0.86,
            customdata=hover,
            hovertemplate='%{customdata}<extra></extra>',
            marker={
                'color': COLORS[stat],
                'line': {'color': 'white', 'width': 0.6},
                'pattern': {
                    'shape': slashes,
                    'fgcolor': 'white',
                    'fgopacity': 0.55,
                    'size': 5,
                    'solidity': 0.14,
                    'fillmode': 'overlay',
                },
            },
        )
    shortcuts = [x for x, bar in places if bar.shortcut]
    if shortcuts:
        drawn.add_scatter(
            x=shortcuts,
            y=[0.07 * row.top] * len(shortcuts),
            yaxis=axis,
            name='shortcut',
            mode='markers',
            hoverinfo='skip',
            marker={
                'symbol': 'square',
                'size': 7,
                'color': 'black',
                'line': {'color': 'white', 'width': 1},
            },
        )


def _add_text(
    drawn: go.Figure, text: str, x: float, y: float, shift: float, xref: str
) -> None:
    drawn.add_annotation(
        text=escape(text),
        x=x,
        y=y,
        xref=xref,
        yref='paper',
        yshift=shift,
        xanchor='left' if xref == 'paper' else 'center',
        yanchor='bottom',
        showarrow=False,
        font={'size': 13, 'color': INK},
    )


def _add_headings(drawn: go.Figure, layout: BarLayout) -> None:
    lift = STAGES * bool(layout.stages)
    for part in layout.parts:
        center = (part.start + part.end) / 2
        _add_text(drawn, part.title, center, 1, lift + 3, 'x')
        drawn.add_shape(
            type='line',
            x0=part.start,
            x1=part.end,
            y0=lift + 2,
            y1=lift + 2,
            yref='paper',
            yanchor=1,
            ysizemode='pixel',
            line={'color': INK, 'width': 1},
        )
    for stage in layout.stages:
        center = (stage.start + stage.end) / 2
        _add_text(drawn, stage.title, center, 1, 1, 'x')
        drawn.layout.annotations[-1].font = {'size': 11.5, 'color': GREY}


def _draw_curves(chart: CurveChart) -> go.Figure:
    columns = max(map(len, chart.rows))
    height = len(chart.rows) * (CURVE_PANEL + CURVE_GAP)
    drawn = make_subplots(
        len(chart.rows),
        columns,
        shared_xaxes=True,
        shared_yaxes=True,
        subplot_titles=[
            escape(panel.title) for row in chart.rows for panel in row
        ],
        vertical_spacing=CURVE_GAP / height,
        horizontal_spacing=0.018,
    )
    for number, row in enumerate(chart.rows, start=1):
        for column, panel in enumerate(row, start=1):
            for curve in panel.curves:
                drawn.add_trace(_trace(curve, chart), number, column)
            drawn.update_yaxes(
                range=(0, 1.02 * panel.top),
                title_text=escape(panel.label) if column == 1 else None,
                row=number,
                col=column,
            )
    drawn.update_xaxes(
        title_text=chart.x_title, title_standoff=6, row=len(chart.rows)
    )
    drawn.update_layout(
        **_common(height + 26 + 40, 26, 40),
        hovermode='x unified' if chart.joined else 'closest',
        meta={'width': LEFT + RIGHT + max(130 * columns, 420), 'parts': {}},
    )
    drawn.update_annotations(font={'size': 13, 'color': INK})
    drawn.update_xaxes(gridcolor=FAINT, zeroline=False, nticks=5)
    drawn.update_yaxes(gridcolor=FAINT, zeroline=False, nticks=4)
    return drawn


def _trace(curve, chart: CurveChart) -> go.Scatter:
    style = STYLES[curve.stat]
    return go.Scatter(
        x=curve.x,
        y=curve.y,
        name=curve.stat,
        mode='lines' if chart.joined else 'markers',
        line={'color': style.color, 'dash': style.dash, 'width': 2},
        marker={
            'color': style.color,
            'symbol': style.symbol,
            'size': 8,
            'line': {'color': 'white', 'width': 0.7},
        },
        customdata=[escape(name) for name in curve.hover] or None,
        hovertemplate=(
            '<b>%{customdata}</b><br>' * bool(curve.hover)
            + f'{curve.stat} %{{y:.3f}}'
            + f'<br>{chart.x_title} %{{x}}' * bool(curve.hover)
            + '<extra></extra>'
        ),
    )


def _common(height: float, top: float, bottom: float) -> dict:
    return {
        'height': round(height),
        'margin': {'l': LEFT, 'r': RIGHT, 't': round(top), 'b': round(bottom)},
        'font': {'family': FONT, 'size': 12, 'color': GREY},
        'hoverlabel': {
            'bgcolor': 'white',
            'bordercolor': '#bbbbbb',
            'font': {'family': FONT, 'size': 12.5, 'color': INK},
            'align': 'left',
        },
        'showlegend': False,
        'plot_bgcolor': 'rgba(0,0,0,0)',
        'paper_bgcolor': 'rgba(0,0,0,0)',
        'dragmode': False,
    }
