"""Pictures show the numbers of the charts."""

import io

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.charts import make_figures, static
from whiten_plugins.ratios.charts.static import draw
from whiten_plugins.ratios.palette import COLORS

from ..synthetic import network
from ..synthetic import save as save_checkpoint


def figure_of(runs, name):
    return next(f for f in make_figures(runs) if f.name == name)


def test_bars_are_stacked_in_their_colours(one, other):
    figure = figure_of([one, other], 'ratios')
    panels = draw(figure).axes
    assert len(panels) == len(figure.chart.rows) == 4
    for panel, row in zip(panels, figure.chart.rows):
        assert panel.get_ylabel() == row.label
        bars = [bar for bar in row.bars if bar]
        bottoms = [0.0] * len(bars)
        for drawn in panel.containers:
            stat = drawn.get_label()
            heights = [patch.get_height() for patch in drawn]
            shares = [bar.shares.get(stat, 0) for bar in bars]
            assert heights == pytest.approx(shares)
            assert [p.get_y() for p in drawn] == pytest.approx(bottoms)
            bottoms = [b + h for b, h in zip(bottoms, heights)]
            assert to_hex(drawn[0].get_facecolor()).upper() == COLORS[stat]
            hatched = [bool(patch.get_hatch()) for patch in drawn]
            assert hatched == [bar.after_3x3 for bar in bars]
        assert bottoms == pytest.approx([1] * len(bars))


def test_shortcuts_have_a_square(one):
    figure = figure_of([one], 'ratios')
    (squares,) = draw(figure).axes[0].lines[:1]
    layout = figure.chart.layout
    assert list(squares.get_xdata()) == [layout.centers[4]]


def test_curves_are_the_averages(trained):
    figure = figure_of([trained], 'dynamics_parts')
    axes = iter(draw(figure).axes)
    for row in figure.chart.rows:
        for panel in row:
            lines = next(axes).lines
            assert len(lines) == len(panel.curves)
            for line, curve in zip(lines, panel.curves):
                assert list(line.get_xdata()) == curve.x
                assert list(line.get_ydata()) == curve.y


def test_points_are_not_joined(one):
    figure = figure_of([one], 'receptive_field')
    line = draw(figure).axes[0].lines[0]
    assert (line.get_linestyle(), line.get_marker()) == ('None', 'o')


@pytest.mark.parametrize('name', ['ratios', 'averages', 'depth'])
def test_texts_do_not_overlap(name, one, other):
    drawn = draw(figure_of([one, other], name))
    renderer = FigureCanvasAgg(drawn).get_renderer()
    drawn.canvas.draw()
    texts = [*drawn.texts, *drawn.axes[0].texts, *drawn.axes[1].texts]
    boxes = [
        text.get_window_extent(renderer) for text in texts if text.get_text()
    ]
    boxes.append(drawn.legends[0].get_window_extent(renderer))
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_names_are_not_formulas(tmp_path):
    state = network(['backbone.$y^$.bn'])
    run = read_run(save_checkpoint(tmp_path / '$x^$.pth', state))
    drawn = draw(figure_of([run], 'ratios'))
    FigureCanvasAgg(drawn).draw()
    assert drawn.axes[-1].get_xticklabels()[0].get_text() == '$y^$'


@pytest.mark.parametrize('name', ['hard', 'dynamics_parts'])
def test_picture_of_a_figure(name, trained, monkeypatch):
    monkeypatch.setattr(static, 'DPI', 50)
    content = static.save(figure_of([trained], name), 'png')
    picture = Image.open(io.BytesIO(content))
    assert picture.width > 300
    assert len(picture.getcolors(2**24)) > 9


def test_svg_keeps_its_texts(one):
    text = static.save(figure_of([one], 'ratios'), 'svg').decode()
    assert 'Backbone' in text and 'lateral_convs.0' in text
    assert text == static.save(figure_of([one], 'ratios'), 'svg').decode()
