"""The page of benchmarks is what was measured."""

import json
from xml.etree import ElementTree

import torch

from benchmarks import layers, page, report


def test_the_page_and_its_figures_are_fresh():
    for path, text in page.contents().items():
        assert path.read_text() == text, 'python -m benchmarks.page'


def test_a_measurement_becomes_a_table_and_a_figure(tmp_path):
    found = layers.run(
        [(2, 32, 4, 4)], ['SN'], {}, torch.device('cpu'), torch.float32, 2
    )
    report.write(found, tmp_path / 'layers_here.json')
    found = json.loads((tmp_path / 'layers_here.json').read_text())
    text, figure = page.contents(tmp_path).values()
    ratio = found['results']['2x32x4x4']['SN']['ratio']
    assert f'| `SN` | {ratio:.2f} [' in text
    assert found['machine']['chip'] in text
    texts = [item.text for item in ElementTree.fromstring(figure).iter()]
    assert f'{found["summaries"]["all"]["SN"]:.2f}' in texts
