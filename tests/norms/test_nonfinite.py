"""NaN and infinity stay where the definition lets them."""

import math
from copy import deepcopy

import pytest
import torch

from .cases import (
    CASES,
    KINDS,
    Case,
    assert_close,
    assert_same,
    random_input,
    run,
)

BAD = [math.nan, math.inf, -math.inf]


def spoiled(value, shape=(3, 8, 4, 5)):
    """An input with one bad value in sample 1, channel 2."""
    x = random_input(shape)
    x[1, 2, 0, 0] = value
    return x


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_bad_values_do_not_enter_the_running_buffers(case, value):
    norm, _ = case.pair()
    norm(random_input((3, 8, 4, 5), seed=1))
    norm(spoiled(value))
    for name, buffer in norm.named_buffers():
        assert buffer.isfinite().all(), name
    y = norm.eval()(random_input((3, 8, 4, 5), seed=2))
    assert y.isfinite().all()


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_training_resumes_after_bad_values(case, value):
    """As the step that a gradient scaler skips: the next one is sound."""
    norm, expected = case.pair()
    norm(spoiled(value))
    x, grad = random_input((3, 8, 4, 5)), random_input((3, 8, 4, 5), 1)
    assert_same(run(norm, x, grad), run(expected, x, grad), 1e-9)


STAYING = [
    *KINDS,
    Case('SN', dict(stats=('in',))),
    Case('SN', dict(stats=('ln',))),
    Case('SN', dict(stats=('bn',))),
    Case('SN', dict(stats=('bn', 'in'))),
    Case('SN', dict(stats=('in', 'ln'))),
    Case('SW', dict(num_pergroup=4, sw_type=3)),
    Case('SW', dict(num_pergroup=4, whitening='zca')),
    Case('GW', dict(num_groups=2, whitening='zca')),
    Case('IW', dict(num_pergroup=4, whitening='zca')),
    Case('BW', dict(num_pergroup=4, whitening='pca')),
]


def statistics_of(case, norm):
    alone = {'GW': ['ln'], 'IW': ['iw'], 'BW': ['bw'], 'ItN': ['bw']}
    alone['IBN'] = ['in']  # the bad value is among these channels
    return alone.get(case.type) or norm.stats


def reach_of_output(case, norm, training):
    """(N, C) mask: where the statistics carry `spoiled`'s bad value."""
    mask = torch.zeros(3, 8, dtype=torch.bool)
    group = slice(0, 4) if 'num_pergroup' in case.kwargs else slice(2, 3)
    for name in statistics_of(case, norm):
        if name == 'ln':
            mask[1] = True
        elif name in ('bn', 'bw') and training:
            mask[:, group] = True
        else:
            mask[1, group] = True
    return mask


def reach_of_gradient(case, norm, training):
    """What shares a statistic with a bad output gets a bad gradient."""
    mask = reach_of_output(case, norm, training)
    names = statistics_of(case, norm)
    if 'ln' in names:
        mask[mask.any(1)] = True
    if training and {'bn', 'bw'} & set(names):
        mask[:, mask.any(0)] = True
    return mask


def assert_untouched_outside(norm, value, masks):
    """A bad value and a sound one in its place differ in the masks alone."""
    grad = random_input((3, 8, 4, 5), seed=1)
    sound, bad = (run(deepcopy(norm), spoiled(v), grad) for v in (0.5, value))
    for name, mask in masks.items():
        assert_close(bad[name][~mask], sound[name][~mask], 1e-12)
    assert not bad['output'][1, 2, 0, 0].isfinite()


@pytest.mark.parametrize('value', BAD)
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('case', STAYING, ids=str)
def test_bad_values_stay_where_the_definition_lets_them(case, training, value):
    norm, _ = case.pair()
    norm.train(training)
    masks = {
        'output': reach_of_output(case, norm, training),
        'input': reach_of_gradient(case, norm, training),
    }
    assert_untouched_outside(norm, value, masks)


@pytest.mark.parametrize('value', BAD)
def test_bad_values_reach_only_what_hard_ratios_select(value):
    norm, _ = Case('SN', dict(hard=True)).pair()
    with torch.no_grad():
        for logits in (norm.mean_weight, norm.var_weight):
            logits.copy_(torch.tensor([2.0, 1.0, 1.0]))
    mask = torch.zeros(3, 8, dtype=torch.bool)
    mask[1, 2] = True
    assert_untouched_outside(norm, value, {'output': mask, 'input': mask})


@pytest.mark.parametrize('value', BAD)
def test_bad_values_stay_in_the_ratio_group_that_chose(value):
    norm, _ = Case('SN', dict(hard=True, ratio_groups=2)).pair()
    with torch.no_grad():
        for logits in (norm.mean_weight, norm.var_weight):
            logits.copy_(torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 2.0]]))
    mask = torch.zeros(3, 8, dtype=torch.bool)
    mask[1, 2] = True
    assert_untouched_outside(norm, value, {'output': mask, 'input': mask})
