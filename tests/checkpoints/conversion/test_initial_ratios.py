"""Where ratios start: the source's, all alike, or at the batch."""

import pytest
import torch
from torch.nn import functional as F

from whiten_plugins.checkpoints.conversion.initial_ratios import (
    KEPT_SHARE,
    start_ratios,
)
from whiten_plugins.checkpoints.norm_layers import NormLayer
from whiten_plugins.norms import SN, SW

LEARNED = torch.tensor([0.5, -1.0, 2.0])


def _start(norm, init='uniform', stats=None, mean=LEARNED, var=None):
    """The layer with its start, and how the report puts it."""
    learned = None
    if stats is not None:
        source = {'mean_weight': mean}
        source |= {} if var is None else {'var_weight': var}
        learned = NormLayer('bn1', 'SN', stats, False, source)
    start = start_ratios(norm, learned, init)
    norm.load_state_dict(start.logits, strict=False)
    return norm, start


def test_uniform_is_the_start_of_a_new_layer():
    norm, start = _start(SN(8))
    assert norm.ratios()['var'] == pytest.approx(
        {'in': 1 / 3, 'ln': 1 / 3, 'bn': 1 / 3}
    )
    assert start.started == {'mean_weight': 'uniform', 'var_weight': 'uniform'}


@pytest.mark.parametrize(
    ('norm', 'batch'),
    [
        (SN(8), 'bn'),
        (SN(8, stats=('bn', 'ln')), 'bn'),
        (SN(8, ratio_groups=2), 'bn'),
        (SN(8, tie_weight=True), 'bn'),
        (SW(16), 'bw'),
        (SW(16, sw_type=3), 'bw'),
        (SW(16, sw_type=5), 'bn'),
    ],
    ids=lambda value: getattr(value, 'extra_repr', lambda: value)(),
)
def test_bn_gives_the_batch_almost_everything(norm, batch):
    norm, start = _start(norm, 'bn')
    for shares in norm.ratios().values():
        assert shares.pop(batch) == pytest.approx(KEPT_SHARE, abs=1e-6)
        rest = (1 - KEPT_SHARE) / len(shares)
        assert list(shares.values()) == pytest.approx([rest] * len(shares))
    assert set(start.started.values()) == {f'{KEPT_SHARE} {batch}'}


def test_a_layer_without_batch_statistics_starts_uniform():
    _, start = _start(SN(8, stats=('in', 'ln')), 'bn')
    assert set(start.started.values()) == {'uniform'}


def test_a_layer_with_one_statistic_has_it_all():
    norm, _ = _start(SN(8, stats=('bn',)), 'bn')
    assert norm.ratios()['mean'] == {'bn': 1}


def test_learned_logits_are_carried_over_whatever_is_asked():
    for init in ('uniform', 'bn'):
        norm, start = _start(SN(8), init, ('in', 'ln', 'bn'), var=-LEARNED)
        assert torch.equal(norm.mean_weight, LEARNED)
        assert torch.equal(norm.var_weight, -LEARNED)
        assert start.carried == ['mean_weight', 'var_weight']


def test_another_order_of_the_statistics_is_followed():
    norm, _ = _start(SN(8, stats=('bn', 'in', 'ln')), stats=('in', 'ln', 'bn'))
    assert torch.equal(norm.mean_weight, LEARNED[[2, 0, 1]])


def test_statistics_that_are_new_start_with_almost_nothing():
    learned = torch.tensor([1.0, 2.0])
    norm, start = _start(SW(16, sw_type=5), stats=('bw', 'iw'), mean=learned)
    shares = norm.ratios()['mean']
    known = [shares.pop('bw'), shares.pop('iw')]
    expected = (KEPT_SHARE * learned.softmax(0)).tolist()
    assert known == pytest.approx(expected)
    rest = (1 - KEPT_SHARE) / 3
    assert list(shares.values()) == pytest.approx([rest] * 3)
    assert 'for bn, in, ln' in start.started['var_weight']


def test_statistics_that_are_gone_start_as_asked():
    norm, start = _start(SW(16), 'bn', ('bw', 'iw', 'ln'))
    assert norm.ratios()['mean']['bw'] == pytest.approx(KEPT_SHARE)
    assert start.carried == []


def test_a_tied_source_serves_for_means_and_covariances():
    norm, _ = _start(SN(8), stats=('in', 'ln', 'bn'))
    assert torch.equal(norm.var_weight, LEARNED)


def test_untied_ratios_do_not_fit_a_tied_layer():
    tied = SN(8, tie_weight=True)
    norm, start = _start(tied, 'uniform', ('in', 'ln', 'bn'), var=-LEARNED)
    assert start.carried == []
    assert len(set(norm.mean_weight.tolist())) == 1


def test_one_set_of_ratios_serves_every_group():
    norm, _ = _start(SN(8, ratio_groups=2), stats=('in', 'ln', 'bn'))
    assert torch.equal(norm.mean_weight, LEARNED.expand(2, 3))


def test_ratios_of_groups_do_not_fit_a_layer_with_one_set():
    groups = torch.stack([LEARNED, -LEARNED])
    _, start = _start(SN(8), stats=('in', 'ln', 'bn'), mean=groups)
    assert start.carried == []


def test_a_start_at_the_batch_can_be_left():
    """A layer that should be InstanceNorm moves there, at AdamW's pace for
    any parameter."""
    generator = torch.Generator().manual_seed(0)
    norm, _ = _start(SN(16), 'bn')
    optimizer = torch.optim.AdamW(norm.parameters(), lr=0.05, weight_decay=0)
    for _ in range(300):
        x = torch.randn(8, 16, 4, 4, generator=generator)
        contrast = 0.1 + 2 * torch.rand(8, 16, 1, 1, generator=generator)
        offset = torch.randn(8, 16, 1, 1, generator=generator)
        x = x * contrast + offset
        loss = F.mse_loss(norm(x), F.instance_norm(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert norm.ratios()['mean']['in'] > 0.5
    assert norm.ratios()['var']['in'] > 0.5
