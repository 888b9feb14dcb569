"""A resumed training draws what an uninterrupted one draws."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from tests.training import NormNetwork, image_loader, runner
from whiten_plugins.norms import SN
from whiten_plugins.runner.random_state import capture, restore


def draw():
    numbers = [random.random(), random.gauss(0, 1)]
    numbers += [np.random.rand(), np.random.randn()]
    return [*numbers, torch.rand(()).item(), torch.randn(3).tolist()]


def test_restored_generators_draw_the_same():
    draw()
    state = capture()
    expected = draw()
    restore(state)
    assert draw() == expected


def test_states_are_read_as_weights_only(tmp_path):
    state = capture()
    torch.save(state, tmp_path / 'state.pth')
    expected = draw()
    restore(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert draw() == expected


class Drawing(nn.Module):
    def forward(self, x):
        noise = random.random() + np.random.rand() + torch.rand(())
        return x * (1 + noise) if self.training else x * random.random()


def network():
    torch.manual_seed(1)
    return NormNetwork(nn.Sequential(SN(8), Drawing(), nn.Dropout(0.3)))


def train(work_dir, by_epoch, resume=False, hooks=True, validate=True):
    from mmengine.evaluator import BaseMetric
    from mmengine.registry import METRICS

    @METRICS.register_module(force=True)
    class Nothing(BaseMetric):
        def process(self, data_batch, data_samples):
            self.results.append(0)

        def compute_metrics(self, results):
            random.random(), np.random.rand(), torch.rand(())
            return {'score': 1.0}

    unit = 'epochs' if by_epoch else 'iters'
    custom = [dict(type='RandomStateHook')] if hooks else []
    run = runner(
        network(),
        work_dir,
        hooks=custom,
        train_dataloader=image_loader(
            6, 'DefaultSampler' if by_epoch else 'InfiniteSampler'
        ),
        train_cfg=dict(
            by_epoch=by_epoch, val_interval=1, **{f'max_{unit}': 4}
        ),
        val_dataloader=image_loader() if validate else None,
        val_cfg=dict() if validate else None,
        val_evaluator=dict(type='Nothing') if validate else None,
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', by_epoch=by_epoch, interval=1
            )
        ),
        load_from=str(resume) if resume else None,
        resume=bool(resume),
    )
    run.train()
    return run.model.state_dict()


@pytest.mark.parametrize('by_epoch', [False, True], ids=['iters', 'epochs'])
@pytest.mark.parametrize('hooks', [True, False], ids=['hook', 'no hook'])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path, by_epoch, hooks):
    """Without the hook it does not: mmengine stores no random state."""
    expected = train(tmp_path / 'a', by_epoch, hooks=hooks)
    unit = 'epoch' if by_epoch else 'iter'
    checkpoint = tmp_path / 'a' / f'{unit}_2.pth'
    resumed = train(tmp_path / 'b', by_epoch, checkpoint, hooks=hooks)
    equal = all(resumed[k].equal(v) for k, v in expected.items())
    assert equal is hooks


def test_validation_takes_nothing_from_training(tmp_path):
    expected = train(tmp_path / 'a', True)
    found = train(tmp_path / 'b', True, validate=False)
    assert all(found[key].equal(value) for key, value in expected.items())
