"""CSV and JSON hold the ratios that the logits define."""

import csv
import json

import pytest
import torch

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.files import to_csv, to_json

from .synthetic import DETECTOR, layer, network, save, training


@pytest.fixture
def reports(tmp_path):
    sn, sw = network(seed=1), network(num_stats=2, kind='SW', seed=2)
    paths = save(tmp_path / 'sn.pth', sn), save(tmp_path / 'sw.pth', sw)
    return [read_run(path) for path in paths]


def test_csv_rows_equal_the_softmax(reports):
    rows = list(csv.DictReader(to_csv(reports).splitlines()))
    sn, sw = rows[: len(DETECTOR)], rows[len(DETECTOR) :]
    assert {row['checkpoint'] for row in sn} == {str(reports[0].path)}
    assert {row['checkpoint'] for row in sw} == {str(reports[1].path)}
    assert tuple(row['layer'] for row in sn) == DETECTOR
    state = network(seed=1)
    for row in sn:
        for panel in ('mean', 'var'):
            logits = state[f'{row["layer"]}.{panel}_weight'].double()
            found = [float(row[f'{panel}_{s}']) for s in ('in', 'ln', 'bn')]
            assert found == pytest.approx(logits.softmax(0).tolist())
            assert row[f'{panel}_bw'] == ''
    assert sw[0]['type'] == 'SW'
    assert sw[0]['mean_in'] == ''
    assert float(sw[0]['mean_bw']) + float(sw[0]['mean_iw']) == pytest.approx(
        1
    )


def test_json_layers_equal_the_softmax(reports):
    sn, sw = json.loads(to_json(reports))['checkpoints']
    assert sw['path'] == str(reports[1].path)
    assert tuple(item['name'] for item in sw['layers']) == DETECTOR
    state = network(num_stats=2, kind='SW', seed=2)
    for item in sw['layers']:
        assert item['stats'] == ['bw', 'iw']
        for panel in ('mean', 'var'):
            logits = state[f'{item["name"]}.{panel}_weight'].double()
            expected = dict(zip(item['stats'], logits.softmax(0).tolist()))
            assert item[panel] == pytest.approx(expected)
    assert sn['averages']['backbone']['layers'] == 6
    assert sn['averages_by_stage']['layer1']['layers'] == 4
    assert sn['notes'] == []


def test_json_compares_checkpoints_with_the_first(reports):
    (change,) = json.loads(to_json(reports))['changes']
    assert change['from'] == str(reports[0].path)
    moved = [row['moved'] for row in change['layers']]
    assert len(moved) == 2 * len(DETECTOR)
    assert moved == pytest.approx(
        [1.0] * len(moved)
    )  # SN and SW mix other statistics


def test_training_has_its_snapshots(tmp_path):
    run = read_run(training(tmp_path, times=(10, 20)))
    rows = list(csv.DictReader(to_csv([run]).splitlines()))
    assert [row['iter'] for row in rows] == ['10'] * 11 + ['20'] * 11
    assert rows[0]['checkpoint'] == str(tmp_path / 'iter_10.pth')
    (item,) = json.loads(to_json([run]))['checkpoints']
    first, second = item['snapshots']
    assert (first['iter'], second['iter']) == (10, 20)
    assert first['changed_choices'] is None
    logits = [
        torch.stack(
            [network(seed=t)[f'{n}.{m}_weight'] for m in ('mean', 'var')]
        ).argmax(1)
        for t in (10, 20)
        for n in DETECTOR
    ]
    changed = [
        name
        for name, old, new in zip(DETECTOR, logits, logits[len(DETECTOR) :])
        if not torch.equal(old, new)
    ]
    assert second['changed_choices'] == changed
    assert second['averages'] == item['averages']


def test_infinite_divergence_is_null(tmp_path):
    config = "model = dict(norm_cfg=dict(type='SN', hard=True))"
    state = layer('bn1', [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    path = save(tmp_path / 'hard.pth', state, config=config)
    (item,) = json.loads(to_json([read_run(path)]))['checkpoints']
    assert item['layers'][0]['divergence'] is None
    assert item['split_choices'] == ['bn1']


def test_json_has_every_ratio_group(tmp_path):
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    path = save(tmp_path / 'groups.pth', layer('bn1', logits, logits + 1))
    text = to_json([read_run(path)])
    (item,) = json.loads(text)['checkpoints'][0]['layers']
    rows = logits.double().softmax(1)
    for panel in ('mean', 'var'):
        for row, expected in zip(item[f'{panel}_groups'], rows.tolist()):
            assert row == pytest.approx(expected)
        assert list(item[panel].values()) == pytest.approx(
            rows.mean(0).tolist()
        )
