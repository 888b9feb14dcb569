"""Several test sets: found, checked, run with one loading of the weights."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import DATASETS, METRICS
from rich.console import Console
from torch import nn
from torch.utils.data import Dataset

from tests.training import NormNetwork, runner
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.norms import SN
from whiten_plugins.runner.test_sets import (
    check_test_sets,
    find_test_sets,
    mean_over_unseen,
    results_table,
    run_test_sets,
)


@DATASETS.register_module(force=True)
class Brightness(Dataset):
    """Images of one brightness, on which the metric depends."""

    def __init__(self, level, count=2):
        self.level, self.count = level, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.level is None:
            raise FileNotFoundError('no such image')
        return dict(inputs=torch.full((3, 8, 8), self.level + index))


@METRICS.register_module(force=True)
class Output(BaseMetric):
    """Mean of what the network puts out."""

    def process(self, data_batch, data_samples):
        self.results.append(float(data_samples[0].mean()))

    def compute_metrics(self, results):
        return dict(output=sum(results) / len(results))


METRIC = dict(type='Output')


def config(**sets):
    return Config(
        dict(
            test_sets=sets,
            test_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='Brightness', level=0.0),
                collate_fn=dict(type='default_collate'),
            ),
            test_evaluator=METRIC,
            test_cfg=dict(),
        )
    )


def bright(level, **settings):
    return dict(dataset=dict(type='Brightness', level=level), **settings)


CFG = config(day=bright(1.0, seen=True), dusk=bright(2.0), night=bright(3.0))


def test_sets_are_found_by_name_and_pattern_each_once():
    found = find_test_sets(CFG, ['d*', 'night', 'dusk'])
    assert [item.name for item in found] == ['day', 'dusk', 'night']
    assert [item.seen for item in found] == [True, False, False]
    assert [item.dataloader.dataset.level for item in found] == [1, 2, 3]
    assert found[0].dataloader.batch_size == 1
    assert found[0].evaluator == METRIC
    assert CFG.test_dataloader.dataset.level == 0


def test_a_set_has_metrics_of_its_own_if_it_wants():
    other = dict(type='Other')
    cfg = config(day=bright(1.0, evaluator=other), dusk=bright(2.0))
    evaluators = [item.evaluator for item in find_test_sets(cfg, ['*'])]
    assert evaluators == [other, METRIC]


def test_another_config_is_a_set(tmp_path):
    path = tmp_path / 'fog.py'
    path.write_text(
        "test_dataloader = dict(dataset=dict(type='Brightness', level=9))\n"
        "test_evaluator = dict(type='Other')\n"
    )
    (found,) = find_test_sets(CFG, [str(path)])
    assert (found.name, found.dataloader.dataset.level) == ('fog', 9)
    assert found.evaluator == dict(type='Other')
    path.write_text('test_evaluator = None\n')
    with pytest.raises(ConfigError, match='fog.py: has no test_dataloader'):
        find_test_sets(CFG, [str(path)])


@pytest.mark.parametrize(
    ('cfg', 'names', 'message'),
    [
        (CFG, ['day', 'fog'], r"'fog' is neither in .*day, dusk, night\) nor"),
        (config(), ['fog'], 'which has none'),
        (config(day=dict(seen=True)), ['*'], 'test_sets.day takes dataset'),
        (config(day=bright(1.0, metric=1)), ['*'], 'dataset, metric'),
    ],
)
def test_impossible_names_and_sets_are_refused(cfg, names, message):
    with pytest.raises(ConfigError, match=message):
        find_test_sets(cfg, names)


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (bright(None), 'night: FileNotFoundError: no such image'),
        (dict(dataset=dict(type='Nothing')), 'night: KeyError'),
        (
            dict(dataset=dict(type='Brightness', level=1.0, count=0)),
            'night: ValueError: there are no images',
        ),
    ],
)
def test_a_set_that_cannot_be_read_is_named_before_testing(entry, message):
    cfg = config(day=bright(1.0), night=entry)
    with pytest.raises(ConfigError, match=f'test set {message}'):
        check_test_sets(cfg, find_test_sets(cfg, ['*']))


def build(work_dir, item, hooks=()):
    torch.manual_seed(1)
    run = runner(
        NormNetwork(SN(8), nn.BatchNorm2d(8)),
        work_dir,
        hooks,
        test_dataloader=item.dataloader,
        test_evaluator=item.evaluator,
        test_cfg=dict(),
        load_from=str(work_dir / 'epoch_3.pth'),
    )
    run.cfg.test_cfg = dict()
    return run


@pytest.mark.parametrize(
    'hooks', [[], [dict(type='EMAHook', momentum=0.3)]], ids=['', 'ema']
)
def test_results_are_those_of_each_set_alone(tmp_path, hooks):
    torch.manual_seed(0)
    trained = runner(NormNetwork(SN(8), nn.BatchNorm2d(8)), tmp_path, hooks)
    trained.train()
    sets = find_test_sets(CFG, ['*'])
    alone = {item.name: build(tmp_path, item, hooks).test() for item in sets}
    together = build(tmp_path, sets[0], hooks)
    results = run_test_sets(together, sets)
    assert results == alone
    assert len({r['output'] for r in results.values()}) == len(sets)
    (saved,) = tmp_path.glob('*/test_sets.json')
    assert json.loads(saved.read_text()) == results


SETS = find_test_sets(CFG, ['*'])
RESULTS = {
    'day': dict(mIoU=80.0, aAcc=90.0),
    'dusk': dict(mIoU=60.0),
    'night': dict(mIoU=41.0, aAcc=50.0),
}


def test_the_mean_is_over_what_was_not_seen():
    assert mean_over_unseen(RESULTS, SETS) == dict(mIoU=50.5)
    assert mean_over_unseen(RESULTS, SETS[:2]) == {}


def test_the_table_has_a_line_a_set_and_the_mean():
    console = Console(width=60, record=True, file=open('/dev/null', 'w'))
    console.print(results_table(RESULTS, SETS))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert lines == [
        ['test', 'set', 'mIoU', 'aAcc'],
        ['day', '(seen)', '80', '90'],
        ['dusk', '60'],
        ['night', '41', '50'],
        ['mean', 'of', 'the', '2', 'unseen', '50.5'],
    ]
