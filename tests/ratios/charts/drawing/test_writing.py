"""SVG and PNG files are whole, and look like their drawing."""

import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.charts import make_figures
from whiten_plugins.ratios.charts.drawing import draw, png, save, to_svg
from whiten_plugins.ratios.charts.drawing.svg import style_sheet
from whiten_plugins.ratios.palette import COLORS, STYLES

from ...synthetic import network
from ...synthetic import save as save_checkpoint

NS = '{http://www.w3.org/2000/svg}'


def figure_of(runs, name):
    return next(f for f in make_figures(runs) if f.name == name)


@pytest.mark.parametrize('name', ['ratios', 'hard', 'dynamics_parts'])
def test_svg_file_is_xml_with_its_texts_and_colours(name, trained):
    figure = figure_of([trained], name)
    text = save(figure, 'svg').decode()
    root = ElementTree.fromstring(text)
    texts = [item.text for item in root.iter(f'{NS}text')]
    assert {figure.title, 'IN', 'LN', 'BN', 'Backbone'} <= set(texts)
    for stat in ('in', 'ln', 'bn'):
        assert f'.f-{stat}{{fill:{COLORS[stat]}}}' in text
    assert text == save(figure, 'svg').decode()


def test_names_are_not_markup_in_svg(tmp_path):
    state = network(['backbone.<b a="1">&x.bn'])
    run = read_run(save_checkpoint(tmp_path / 'x.pth', state))
    for figure in make_figures([run]):
        root = ElementTree.fromstring(save(figure, 'svg'))
        assert not list(root.iter('b'))
    figure = figure_of([run], 'ratios')
    root = ElementTree.fromstring(to_svg(draw(figure), '"<b>&'))
    assert root.get('aria-label') == '"<b>&'
    assert '<b a="1">&x' in [item.text for item in root.iter('text')]


@pytest.mark.parametrize('name', ['hard', 'dynamics_parts', 'ratios'])
def test_picture_has_the_size_and_the_colours_of_the_drawing(
    name, trained, monkeypatch
):
    monkeypatch.setattr(png, 'DPI', 96)
    picture = Image.open(io.BytesIO(save(figure_of([trained], name), 'png')))
    drawn = draw(figure_of([trained], name))
    assert picture.width == pytest.approx(drawn.width, abs=1)
    found = picture.convert('RGB').getcolors(2**24)
    colors = {color: count for count, color in found}
    for stat in ('in', 'ln', 'bn'):
        rgb = tuple(bytes.fromhex(COLORS[stat][1:]))
        assert colors.get(rgb, 0) > 50


def test_every_statistic_has_rules():
    rules = style_sheet(lambda name: f'var(--{name})')
    for stat in STYLES:
        for kind in (f'.f-{stat}{{', f'.s-{stat}{{', f'text.t-{stat}{{'):
            assert f'svg {kind}' in rules
