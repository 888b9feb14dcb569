"""The trainings of seconds behind the studies on digits."""

import pytest
import torch

pytest.importorskip('mmcv')
pytest.importorskip('sklearn')

from benchmarks.studies import digits, on_digits

BN, SN = [dict(type='BN')], [dict(type='SN')]


@pytest.fixture(autouse=True)
def few_digits(monkeypatch):
    monkeypatch.setattr(digits, 'TRAINING', 64)


def test_a_seed_gives_the_same_network():
    first, again, other = (digits.trained(SN, seed) for seed in (0, 0, 1))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(first[0].weight, other[0].weight)


def test_frozen_statistics_see_the_same_at_every_batch_size():
    """The batch is what normalization sees, not what a step sees."""
    found = []
    for batch_size in (1, 8):
        torch.manual_seed(0)
        network = digits.Network(*(dict(type='GN', num_groups=4),))
        digits.train(network, (batch_size,))
        found.append(network[0].weight.detach())
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


def test_bn_that_becomes_bn_loses_nothing():
    found = on_digits.converted(BN, 'from BN', 0)
    assert found['features off'] == 0
    assert on_digits.converted(SN, 'from BN', 0)['features off'] > 0.01


def test_shares_add_up():
    found = on_digits.learned(SN, (8,), 0)
    for moment in ('mean', 'var'):
        shares = [v for k, v in found.items() if k.startswith(moment)]
        assert len(shares) == 3 and sum(shares) == pytest.approx(1)


def test_folded_answers_as_before_it():
    tuned, folded = (
        on_digits.hardened(SN, how, 0)['accuracy']
        for how in ('fine-tuned', 'folded')
    )
    assert folded == pytest.approx(tuned)


def test_batch_averages_change_what_is_tested(monkeypatch):
    seen = []
    monkeypatch.setattr(
        on_digits,
        'accuracy',
        lambda network: seen.append(network[1].running_mean.clone()) or 0.0,
    )
    for average in (False, True):
        on_digits.averaged(BN, (8, average), 0)
    assert not torch.allclose(*seen)
