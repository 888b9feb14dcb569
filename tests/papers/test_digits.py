"""Claims of the papers that a multilayer perceptron on digits can show."""

import pytest
from torch import nn

from tests.papers.training import full_batches, mini_batches, train
from whiten_plugins.norms import BW, GW, ItN

CHANCE = 2.3026  # ln 10


def _best(norm, learning_rates, steps):
    """The training loss and accuracy of the best learning rate, which the
    papers choose by the training loss."""
    runs = [train(norm, rate, full_batches(steps)) for rate in learning_rates]
    return min(run for run in runs if run[0] == run[0])


def _whole(whitening):
    return lambda c: BW(c, num_pergroup=c, whitening=whitening, running='cov')


@pytest.mark.slow
def test_pca_whitening_does_not_learn_where_zca_does():
    """Stochastic axis swapping: DBN section 3.1, Fig. 2(b)."""
    rates = (0.5, 1, 5)
    pca, _ = _best(_whole('pca'), rates, steps=30)
    zca, _ = _best(_whole('zca'), rates, steps=30)
    assert pca > 0.9 * CHANCE
    assert zca < 0.1


@pytest.mark.slow
def test_few_and_many_newton_iterations_train_worse_than_five():
    """ItN supplement section 3, Fig. 1: T = 1 and T = 9 are less efficient
    in training, and T = 9 is worse on the test set."""
    found = {
        T: _best(
            lambda c, T=T: ItN(c, num_pergroup=c, T=T), (0.5, 1, 2), steps=40
        )
        for T in (1, 5, 9)
    }
    assert found[5][0] < found[1][0]
    assert found[5][0] < found[9][0]
    assert found[9][1] < found[5][1] - 0.02


@pytest.mark.slow
def test_batch_norm_fails_at_two_images_and_group_whitening_does_not():
    """GW Fig. 1(a): small batches hurt BN, not norms of single samples."""

    def accuracy(norm, size):
        batches = mini_batches(size, epochs=4)
        return train(norm, 0.1, batches, width=64)[1]

    assert accuracy(nn.BatchNorm1d, 32) > 0.95
    assert accuracy(nn.BatchNorm1d, 2) < 0.7
    assert accuracy(lambda c: GW(c, num_groups=8), 2) > 0.85
