"""Mean and spread over runs of the same layers."""

import json
import statistics

import pytest

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.charts import make_figures
from whiten_plugins.ratios.files import to_json
from whiten_plugins.ratios.seeds import across, have_the_same_times
from whiten_plugins.ratios.summary import divergence

from .synthetic import DETECTOR, layer, network, save, training


@pytest.fixture
def runs(tmp_path):
    return [
        read_run(save(tmp_path / f'{seed}.pth', network(seed=seed)))
        for seed in range(3)
    ]


def test_every_layer_has_mean_and_standard_deviation(runs):
    found = across(runs)
    assert [item.layer.name for item in found] == list(DETECTOR)
    for index, item in enumerate(found):
        layers = [run.layers[index] for run in runs]
        for stat in ('in', 'ln', 'bn'):
            values = [layer.var[stat] for layer in layers]
            assert item.var[stat].mean == pytest.approx(sum(values) / 3)
            expected = statistics.stdev(values)
            assert item.var[stat].spread == pytest.approx(expected)
        expected = statistics.fmean(map(divergence, layers))
        assert item.divergence.mean == pytest.approx(expected)


def test_runs_of_other_networks_have_none(runs, tmp_path):
    fewer = read_run(save(tmp_path / 'x.pth', network(DETECTOR[1:])))
    assert across([*runs, fewer]) == []
    assert across(runs[:1]) == []
    names = [figure.name for figure in make_figures([*runs, fewer])]
    assert not any(name.startswith('seeds') for name in names)


def test_json_has_them(runs):
    rows = json.loads(to_json(runs))['across_runs']
    assert rows[0]['layer'] == DETECTOR[0]
    found = across(runs)[0].mean['ln']
    assert rows[0]['mean']['ln'] == {
        'mean': found.mean,
        'spread': found.spread,
    }
    assert json.loads(to_json(runs[:1]))['across_runs'] == []


def test_infinite_divergence_is_null(tmp_path):
    hard = layer('bn1', [900.0, 0, 0], [0, 900.0, 0])
    runs = [read_run(save(tmp_path / f'{i}.pth', hard)) for i in range(2)]
    (row,) = json.loads(to_json(runs))['across_runs']
    assert row['divergence'] == {'mean': None, 'spread': None}


def test_the_training_needs_snapshots_at_the_same_times(tmp_path):
    same = [read_run(training(tmp_path / name, (1, 2))) for name in 'ab']
    other = read_run(training(tmp_path / 'c', (1, 3)))
    assert have_the_same_times(same)
    assert not have_the_same_times([*same, other])
    names = [figure.name for figure in make_figures(same)]
    assert {'seeds_layers', 'seeds_dynamics'} <= set(names)
    names = [figure.name for figure in make_figures([*same, other])]
    assert 'seeds_layers' in names and 'seeds_dynamics' not in names
