"""Plotly's figures hold the numbers of the charts."""

import pytest

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.charts import make_figures
from whiten_plugins.ratios.charts.interactive import draw
from whiten_plugins.ratios.palette import COLORS, STYLES

from ..synthetic import network, save


def figure_of(runs, name):
    return next(f for f in make_figures(runs) if f.name == name)


def test_bars_are_the_ratios(one):
    figure = figure_of([one], 'ratios')
    drawn = draw(figure)
    assert drawn.layout.barmode == 'stack'
    for index, (row, moment) in enumerate(
        zip(figure.chart.rows, ('mean', 'var'))
    ):
        axis = 'y' if index == 0 else 'y2'
        traces = [t for t in drawn.data if t.yaxis == axis and t.type == 'bar']
        assert [trace.name for trace in traces] == ['in', 'ln', 'bn']
        for trace in traces:
            expected = [getattr(i, moment)[trace.name] for i in one.layers]
            assert list(trace.y) == expected
            assert list(trace.x) == figure.chart.layout.centers
            assert trace.marker.color == COLORS[trace.name]
            slashes = [shape == '/' for shape in trace.marker.pattern.shape]
            assert slashes == [bar.after_3x3 for bar in row.bars]


def test_hover_names_the_layer_and_its_numbers(one):
    trace = draw(figure_of([one], 'ratios')).data[0]
    layer = one.layers[2]
    assert trace.customdata[2].startswith(
        f'<b>{layer.name}</b><br>SN · 3×3 convolution · sees 19 pixels<br>'
    )
    assert f'bn {layer.mean["bn"]:.3f}' in trace.customdata[2]


def test_parts_can_be_shown_alone(one):
    figure = figure_of([one], 'ratios')
    meta = draw(figure).layout.meta
    for part in figure.chart.layout.parts:
        start, end = meta['parts'][part.title]
        inside = [x for x in figure.chart.layout.centers if start < x < end]
        assert inside[0] - start == pytest.approx(0.8, abs=2)
        assert len(inside) >= 1
    shown = [
        sum(start < x < end for x in figure.chart.layout.centers)
        for start, end in meta['parts'].values()
    ]
    assert shown == [6, 2, 1, 1, 1]


def test_wide_bars_have_their_numbers(one):
    figure = figure_of([one], 'averages')
    trace = draw(figure).data[2]
    shares = [bar.shares['bn'] for bar in figure.chart.rows[0].bars]
    assert list(trace.text) == [f'{s:.2f}' if s > 0.14 else '' for s in shares]


def test_curves_are_the_averages(trained):
    figure = figure_of([trained], 'dynamics_fields')
    traces = iter(draw(figure).data)
    for row in figure.chart.rows:
        for panel in row:
            for curve in panel.curves:
                trace = next(traces)
                assert list(trace.x) == curve.x
                assert list(trace.y) == curve.y
                assert trace.line.dash == STYLES[curve.stat].dash
                assert trace.mode == 'lines'
    assert next(traces, None) is None


def test_points_name_their_layer(one):
    drawn = draw(figure_of([one], 'receptive_field'))
    trace = drawn.data[0]
    assert trace.mode == 'markers'
    assert list(trace.customdata) == [i.name for i in one.layers[:-2]]
    assert '%{customdata}' in trace.hovertemplate


def test_names_are_not_markup(tmp_path):
    state = network(['backbone.<b>x.bn'])
    run = read_run(save(tmp_path / 'x.pth', state))
    drawn = draw(figure_of([run], 'ratios'))
    assert drawn.layout.xaxis.ticktext == ('&lt;b&gt;x',)
    assert '<b>backbone.&lt;b&gt;x.bn</b>' in drawn.data[0].customdata[0]
