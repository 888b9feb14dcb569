"""Drawings show the numbers of the charts, whoever writes them."""

from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text as MplText

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.charts import curves, make_figures
from whiten_plugins.ratios.charts.drawing import draw, draw_sheet
from whiten_plugins.ratios.charts.drawing.axes import ticks
from whiten_plugins.ratios.charts.drawing.bars import PANEL
from whiten_plugins.ratios.charts.drawing.marks import (
    Band,
    Group,
    Point,
    Rect,
    Stroke,
    Text,
)
from whiten_plugins.ratios.charts.drawing.png import paint, to_png

from ...synthetic import network, save, training


def figure_of(runs, name):
    return next(f for f in make_figures(runs) if f.name == name)


def groups_of(drawn):
    return [mark for mark in drawn.marks if isinstance(mark, Group)]


def bars_of(group):
    return [m for m in group.marks if isinstance(m, Rect)]


def test_bars_are_stacked_shares(one, other):
    figure = figure_of([one, other], 'ratios')
    drawn = iter(groups_of(draw(figure)))
    for row in figure.chart.rows:
        for bar in row.bars:
            if bar is None:
                continue
            group = next(drawn)
            assert (group.hover, group.layer) == (bar.hover, bar.layer)
            segments = [r for r in bars_of(group) if r.paint in bar.shares]
            assert [r.paint for r in segments] == list(bar.shares)
            heights = [r.height / PANEL for r in segments]
            assert heights == pytest.approx(list(bar.shares.values()))
            for below, above in pairwise(segments):
                assert above.y + above.height == pytest.approx(below.y)
                assert above.x == below.x
            paints = [r.paint for r in bars_of(group)]
            assert ('slashes' in paints) == bar.after_3x3
            assert ('ink' in paints) == bar.shortcut
    assert next(drawn, None) is None


def test_bars_stand_at_their_places(one):
    figure = figure_of([one], 'ratios')
    layout = figure.chart.layout
    first = groups_of(draw(figure))[: len(layout.centers)]
    middles = [g.marks[0].x + g.marks[0].width / 2 for g in first]
    for (a, b), (x, y) in zip(pairwise(layout.centers), pairwise(middles)):
        assert y - x == pytest.approx((b - a) * layout.pitch * 96)


def test_a_part_alone_has_its_bars_and_more_room(one):
    figure = figure_of([one], 'ratios')
    whole = figure.chart
    counts = []
    for heading in whole.layout.parts:
        part = whole.part(heading.title)
        kept = list(part.rows[0].bars)
        counts.append(len(kept))
        assert all(bar in whole.rows[0].bars for bar in kept)
        assert [h.title for h in part.layout.parts] == [heading.title]
        assert part.layout.pitch >= whole.layout.pitch
    assert counts == [6, 2, 1, 1, 1]


def test_wide_bars_have_their_numbers(one):
    figure = figure_of([one], 'averages')
    for group, bar in zip(groups_of(draw(figure)), figure.chart.rows[0].bars):
        numbers = [m.text for m in group.marks if isinstance(m, Text)]
        shares = [f'{s:.2f}' for s in bar.shares.values() if s > 0.14]
        assert numbers == shares


def test_curves_are_the_averages(trained):
    figure = figure_of([trained], 'dynamics_fields')
    drawn = draw(figure)
    strokes = iter([m for m in drawn.marks if isinstance(m, Stroke)])
    areas = iter(drawn.areas)
    for row in figure.chart.rows:
        for panel in row:
            area = next(areas)
            assert list(area.x) == trained.times
            for curve in panel.curves:
                stroke = next(strokes)
                assert stroke.stat == curve.stat
                shares = [
                    panel.top * (1 - (y - area.top) / area.height)
                    for _, y in stroke.points
                ]
                assert shares == pytest.approx(list(curve.y))
                assert stroke.points[0][0] == area.left
                end = area.left + area.width
                assert stroke.points[-1][0] == pytest.approx(end)
    assert next(strokes, None) is None


def test_points_name_their_layer_and_value(one):
    figure = figure_of([one], 'receptive_field')
    found = groups_of(draw(figure))[: len(one.layers) - 2]
    for group, layer in zip(found, one.layers):
        assert isinstance(group.marks[0], Point)
        assert group.hover == [layer.name, f'in {layer.mean["in"]:.3f}']
        assert group.layer == layer.name.removeprefix('backbone.')


def test_spread_is_a_bar_beside_points_and_a_band_around_curves(tmp_path):
    runs = [
        read_run(training(tmp_path / name, times, seed_offset=i))
        for i, name in enumerate('ab')
        for times in [(10, 20)]
    ]
    points = groups_of(draw(figure_of(runs, 'seeds_layers')))
    stroke, point = points[0].marks
    low, high = sorted(y for _, y in stroke.points)
    values = [run.layers[0].mean['in'] for run in runs]
    half = abs(values[0] - values[1]) / 2**0.5
    assert f'± {half:.3f}' in points[0].hover[1]
    if low > 26 and high < 26 + 118:  # not cut at 0 or 1
        assert point.y == pytest.approx((low + high) / 2)
    bands = [
        mark
        for mark in draw(figure_of(runs, 'seeds_dynamics')).marks
        if isinstance(mark, Band)
    ]
    assert bands and all(len(band.points) == 4 for band in bands)


@pytest.mark.parametrize('name', ['ratios', 'averages', 'depth'])
def test_texts_do_not_overlap(name, one, other):
    drawn = paint(draw_sheet(figure_of([one, other], name)))
    renderer = FigureCanvasAgg(drawn).get_renderer()
    texts = [t for t in drawn.findobj(MplText) if t.get_text()]
    assert len(texts) > 20
    boxes = [text.get_window_extent(renderer) for text in texts]
    for i, box in enumerate(boxes):
        over = [
            (texts[i].get_text(), texts[j].get_text())
            for j in range(i + 1, len(boxes))
            if box.overlaps(boxes[j])
        ]
        assert not over


@pytest.mark.parametrize(
    'low, high, most', [(0, 1, 3), (0, 0.37, 4), (100, 90_000, 5), (7, 427, 6)]
)
def test_ticks_are_few_round_and_inside(low, high, most):
    found = ticks(low, high, most)
    assert 2 <= len(found) <= most
    assert low <= found[0] and found[-1] <= high * (1 + 1e-9)
    steps = {round(b - a, 9) for a, b in pairwise(found)}
    assert len(steps) == 1
    assert float(f'{steps.pop():.2g}') in {b - a for a, b in pairwise(found)}


def test_long_trainings_have_thinned_curves(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, 'MAX_TIMES', 3)
    run = read_run(training(tmp_path / 'long', range(10, 80, 10)))
    figure = figure_of([run], 'dynamics_parts')
    assert figure.chart.rows[0][0].curves[0].x == [20, 50, 70]


def test_names_are_not_formulas_in_pictures(tmp_path):
    state = network(['backbone.$y^$.bn'])
    run = read_run(save(tmp_path / '$x^$.pth', state))
    sheet = draw_sheet(figure_of([run], 'ratios'))
    assert to_png(sheet).startswith(b'\x89PNG')
    texts = paint(sheet).findobj(MplText)
    assert '$y^$' in [text.get_text() for text in texts]
