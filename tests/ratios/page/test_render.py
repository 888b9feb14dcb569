"""The page opens without errors, offline, and shows the bars."""

import html
import json
import re
import shutil
import statistics
import subprocess

import pytest
from PIL import Image

from tests.ratios.synthetic import DETECTOR, network, save, training
from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.charts import make_figures
from whiten_plugins.ratios.page import render
from whiten_plugins.ratios.palette import COLORS

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
# Errors, then what a click on the second part of the network leaves.
PROBE = """
<script>
window.problems = [];
for (const kind of ['error', 'unhandledrejection'])
  window.addEventListener(kind, e => problems.push(e.message || e.reason));
window.addEventListener('load', () => setTimeout(() => {
  const shown = () => [...document.querySelectorAll(
    '[data-figure="ratios"]:not([hidden]) [data-layer]')];
  const bars = shown().length;
  const dark = () => getComputedStyle(document.body).backgroundColor;
  const light = dark();
  document.querySelector('#theme').click();
  const themes = dark() !== light;
  const bar = shown()[2];
  bar.dispatchEvent(new PointerEvent('pointermove', {bubbles: true}));
  const tip = document.querySelector('#tip').innerText.split('\\n')[0];
  bar.dispatchEvent(new Event('click'));
  document.querySelectorAll('[data-part]')[2].click();
  const out = document.createElement('pre');
  out.id = 'probe';
  out.textContent = JSON.stringify({
    problems, bars, themes, tip, inPart: shown().length,
    layer: document.querySelector('#layer-name').textContent,
    curves: document.querySelectorAll('#layer polyline').length,
    pressed: document.querySelector('[aria-pressed="true"]').textContent,
  });
  document.body.append(out);
}, 500));
</script>
"""


@pytest.fixture
def browser(tmp_path):
    """Runs a headless browser; returns what it printed."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f'no browser found: none of {", ".join(BROWSERS)}')

    def browser(*args):
        command = [
            *(path, '--headless=new', '--no-sandbox', '--disable-gpu'),
            *('--enable-logging=stderr', '--virtual-time-budget=5000'),
            *('--hide-scrollbars', f'--user-data-dir={tmp_path}/profile'),
        ]
        return subprocess.run(
            [*command, *args], capture_output=True, text=True, timeout=120
        )

    return browser


@pytest.fixture
def run(tmp_path):
    return read_run(training(tmp_path / 'work'))


@pytest.fixture
def page(run):
    return render([run], make_figures([run]))


def test_page_needs_nothing_from_the_network(page):
    tags = re.findall(r'<(?:link|img|iframe|script|source)\b[^>]*>', page)
    assert tags and not any('src=' in tag or 'href=' in tag for tag in tags)
    assert '@import' not in page
    assert len(page) < 200_000


def test_page_has_a_figure_and_a_sentence_each(page, run):
    for figure in make_figures([run]):
        assert f'data-figure="{figure.name}"' in page
        assert f'<h2>{figure.title}</h2>' in page
    for name in DETECTOR:
        assert f'<td class="name">{name}</td>' in page


def test_several_runs_have_a_table_of_changes(tmp_path):
    runs = [
        read_run(save(tmp_path / f'{i}.pth', network(seed=i)))
        for i in range(3)
    ]
    page = render(runs, make_figures(runs))
    assert 'What changed from A to B' in page
    assert 'What changed from A to C' in page
    assert '11 layers are in both.' in page


def test_runs_of_one_network_have_their_spread(tmp_path):
    runs = [
        read_run(training(tmp_path / str(i), (1, 2), seed_offset=i))
        for i in range(3)
    ]
    page = render(runs, make_figures(runs))
    assert 'Mean and spread over the 3 runs' in page
    data = json.loads(re.search('id="data">(.*?)</script>', page)[1])
    layer = data['layers'][0]
    values = [run.layers[0].var['bn'] for run in runs]
    assert layer['across']['var']['bn'] == [
        round(statistics.fmean(values), 4),
        round(statistics.stdev(values), 4),
    ]
    assert [len(run['curves']['divergence']) for run in layer['runs']] == [
        2,
        2,
        2,
    ]


def test_texts_are_not_markup(tmp_path):
    state = network(['backbone.<script>alert(1)</script>.bn'])
    run = read_run(save(tmp_path / '<b>.pth', state))
    page = render([run], make_figures([run]))
    assert '<script>alert' not in page
    assert page.count('</script>') == 2
    assert f'{tmp_path}/<b>' not in page


def test_browser_shows_the_bars_without_errors(page, browser, tmp_path):
    path = tmp_path / 'report.html'
    path.write_text(page.replace('<head>', '<head>' + PROBE))
    result = browser('--dump-dom', path.as_uri())
    found = re.search(r'<pre id="probe">(.*?)</pre>', result.stdout)
    assert found, result.stderr
    shown = json.loads(html.unescape(found[1]))
    assert shown == {
        'problems': [],
        'bars': 2 * len(DETECTOR),
        'themes': True,
        'tip': DETECTOR[2],
        'inPart': 2 * 2,
        'layer': DETECTOR[2],
        'curves': 3 + 3 + 1,
        'pressed': 'FPN',
    }
    assert 'Uncaught' not in result.stderr


def test_screenshot_has_the_colours_of_the_bars(page, browser, tmp_path):
    path, picture = tmp_path / 'report.html', tmp_path / 'report.png'
    path.write_text(page)
    browser(
        f'--screenshot={picture}', '--window-size=1280,1600', path.as_uri()
    )
    image = Image.open(picture).convert('RGB')
    colors = {color: n for n, color in image.getcolors(2**24)}
    for stat in ('in', 'ln', 'bn'):
        rgb = tuple(bytes.fromhex(COLORS[stat][1:]))
        assert colors.get(rgb, 0) > 10_000
