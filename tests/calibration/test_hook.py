"""BatchAverageHook: what is validated and saved has the averages."""

import copy

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch import nn

from tests.training import (
    NormNetwork,
    image_loader,
    read_training,
    runner,
)
from whiten_plugins.calibration import batch_average, sample_loader
from whiten_plugins.norms import SN, SW

HOOK = dict(type='BatchAverageHook', num_images=10, seed=3)


def network():
    torch.manual_seed(1)
    return NormNetwork(SN(8), nn.BatchNorm2d(8), SW(8, num_pergroup=4))


def running(state):
    return {k: v.clone() for k, v in state.items() if 'running_' in k}


def expected_statistics(state):
    """Of these weights, over the images that the hook chooses."""
    model = network()
    model.load_state_dict(state)
    trained = Runner.build_dataloader(image_loader())
    batch_average(model, sample_loader(trained, 10, seed=3), seed=3)
    return running(model.state_dict())


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    assert expected
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=1e-6, atol=1e-6)


class Validation(BaseMetric):
    """Keeps the statistics that the model has at each validation."""

    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, []

    def process(self, data_batch, data_samples):
        state = self.model.state_dict()
        self.seen.append({k: v.clone() for k, v in state.items()})

    def compute_metrics(self, results):
        return {'done': 1}


def train(work_dir, hooks, **settings):
    """Train; returns the runner and what the last validation saw."""
    run, seen = train_and_watch(work_dir, hooks, **settings)
    return run, seen[-1]


def train_and_watch(work_dir, hooks, **settings):
    """Train; returns the runner and what each validation saw, an image a
    state."""
    model = network()
    metric = Validation(model)
    run = runner(
        model,
        work_dir,
        hooks,
        val_dataloader=image_loader(),
        val_cfg=dict(),
        val_evaluator=Evaluator(metric),
        **settings,
    )
    run.train()
    return run, metric.seen


def saved(path):
    return read_training(path)['state_dict']


def test_last_validation_and_checkpoint_have_the_average(tmp_path):
    run, validated = train(tmp_path, [HOOK])
    last = saved(tmp_path / 'epoch_3.pth')
    expected = expected_statistics(last)
    assert_equal(running(last), expected)
    assert_equal(running(validated), expected)
    moving = saved(tmp_path / 'epoch_2.pth')
    difference = expected_statistics(moving)['backbone.1.running_mean']
    difference -= moving['backbone.1.running_mean']
    assert difference.abs().max() > 1e-3


def test_training_by_iteration(tmp_path):
    loop = dict(by_epoch=False, max_iters=5, val_interval=5)
    checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=4)
    _, validated = train(
        tmp_path,
        [HOOK],
        train_cfg=loop,
        train_dataloader=image_loader(sampler='InfiniteSampler'),
        default_hooks=dict(checkpoint=checkpoint),
    )
    last = saved(tmp_path / 'iter_5.pth')
    assert_equal(running(last), expected_statistics(last))
    assert_equal(running(validated), running(last))


def test_weights_are_those_of_the_training_without_it(tmp_path):
    states = []
    for name, hooks in (('with', [HOOK]), ('without', [])):
        folder = tmp_path / name
        folder.mkdir()
        train(folder, hooks)
        states.append(saved(folder / 'epoch_3.pth'))
    for name, value in states[1].items():
        assert torch.equal(states[0][name], value) == (
            'running_' not in name
        ), name


@pytest.mark.parametrize('update_buffers', [False, True])
def test_averaged_weights_get_their_own_statistics(tmp_path, update_buffers):
    ema = dict(type='EMAHook', momentum=0.3, update_buffers=update_buffers)
    _, validated = train(tmp_path, [ema, HOOK])
    last = saved(tmp_path / 'epoch_3.pth')
    expected = expected_statistics(last)
    assert_equal(running(last), expected)
    assert_equal(running(validated), expected)
    for name, value in last.items():
        assert torch.equal(validated[name], value), name


EVERY_VAL = {**HOOK, 'every_val': True}


def test_every_validation_sees_the_average_of_its_weights(tmp_path):
    _, seen = train_and_watch(tmp_path, [EVERY_VAL])
    states = seen[:: len(seen) // 3]  # one of each of the three epochs
    for state in states:
        assert_equal(running(state), expected_statistics(state))
    for name, value in running(states[0]).items():
        assert not torch.equal(value, states[1][name]), name


def test_validating_with_the_average_leaves_the_training_alone(tmp_path):
    """Resumed checkpoints too are those of a training without it."""
    for name, hooks in (('with', [EVERY_VAL]), ('without', [HOOK])):
        folder = tmp_path / name
        folder.mkdir()
        train(folder, hooks)
    for epoch in (1, 2, 3):
        file = f'epoch_{epoch}.pth'
        expected = saved(tmp_path / 'without' / file)
        for name, value in saved(tmp_path / 'with' / file).items():
            assert torch.equal(value, expected[name]), (epoch, name)


@pytest.mark.parametrize('update_buffers', [False, True])
def test_averaged_weights_are_validated_with_their_own(
    tmp_path, update_buffers
):
    ema = dict(type='EMAHook', momentum=0.3, update_buffers=update_buffers)
    _, seen = train_and_watch(tmp_path, [ema, EVERY_VAL])
    for state in seen[:: len(seen) // 3]:
        assert_equal(running(state), expected_statistics(state))


def test_the_best_checkpoint_has_what_was_validated(tmp_path):
    best = dict(type='CheckpointHook', save_best='done', rule='greater')
    _, seen = train_and_watch(
        tmp_path, [EVERY_VAL], default_hooks=dict(checkpoint=best)
    )
    (path,) = tmp_path.glob('best_done_*.pth')
    last = saved(path)
    validated = seen[0]  # ``done`` is always 1: the first is the best
    for name, value in last.items():
        assert torch.equal(value, validated[name]), name


def test_validating_alone_averages_nothing(tmp_path):
    model = network()
    before = running(model.state_dict())
    metric = Validation(model)
    run = runner(
        model,
        tmp_path,
        [EVERY_VAL],
        val_dataloader=image_loader(),
        val_cfg=dict(),
        val_evaluator=Evaluator(metric),
    )
    run.val()
    assert_equal(running(metric.seen[-1]), before)


class Diverge(Hook):
    """Breaks the weights after the last step."""

    def after_train_iter(self, runner, *args, **kwargs):
        if self.is_last_train_iter(runner):
            weight = runner.model.backbone[0].weight
            weight.data.fill_(torch.nan)


def test_a_diverged_training_is_saved_as_it_is(tmp_path):
    messages = []
    model = network()
    run = runner(model, tmp_path, [Diverge(), copy.deepcopy(HOOK)])
    logger = MMLogger.get_current_instance()
    logger.addFilter(lambda r: messages.append(r.getMessage()) or True)
    run.train()
    logger.filters.clear()
    assert any(
        'the moving averages stay: none of the 3' in m for m in messages
    )
    last = saved(tmp_path / 'epoch_3.pth')
    assert last['backbone.1.running_var'].isfinite().all()


def test_impossible_numbers_are_refused_before_training(tmp_path):
    hook = dict(type='BatchAverageHook', num_images=13)
    with pytest.raises(ValueError, match='num_images=13'):
        train(tmp_path, [hook])
    assert not list(tmp_path.glob('*.pth'))
