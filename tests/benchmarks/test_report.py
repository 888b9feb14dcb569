import json

import torch
from rich.console import Console

from benchmarks import layers, report


def measured():
    return layers.run(
        [(2, 32, 4, 4)], ['SN'], {}, torch.device('cpu'), torch.float32, 2
    )


def test_table_names_norms_shapes_machine_and_date():
    console = Console(width=200, record=True)
    found = measured()
    report.show(found, console)
    text = console.export_text()
    for word in ('SN', '2x32x4x4', 'saved', found['machine']['date']):
        assert word in text


def test_json_is_the_whole_measurement(tmp_path):
    found = measured()
    report.write(found, tmp_path / 'speed.json')
    assert json.loads((tmp_path / 'speed.json').read_text()) == found
    assert [path.name for path in tmp_path.iterdir()] == ['speed.json']
