"""Each quantity against NumPy, in float64."""

import math

import numpy as np
import pytest
import torch

from whiten_plugins.diagnosis.measures import (
    axis_swaps,
    condition,
    condition_numbers,
    correlation,
    largest_correlation,
    rank,
    scale_spread,
)
from whiten_plugins.diagnosis.moments import (
    JointMoments,
    choose_channels,
    choose_elements,
    take,
)

RNG = np.random.default_rng(0)


def covariance(eigenvalues):
    """A covariance with these eigenvalues."""
    size = len(eigenvalues)
    q, _ = np.linalg.qr(RNG.standard_normal((size, size)))
    return (q * eigenvalues) @ q.T


def test_condition_numbers_are_those_of_the_eigenvalues():
    eigenvalues = np.geomspace(1, 1e-4, 20)
    found = condition(torch.from_numpy(covariance(eigenvalues)))
    assert found.k100 == pytest.approx(1e4, rel=1e-6)
    # the 18th of 20 in descending order
    assert found.k90 == pytest.approx(1 / eigenvalues[17], rel=1e-6)


@pytest.mark.parametrize('size, place', [(1, 1), (2, 2), (10, 9), (256, 231)])
def test_the_share_of_the_eigenvalues_is_rounded_up(size, place):
    eigenvalues = np.arange(size, 0, -1.0)
    cov = torch.diag(torch.from_numpy(eigenvalues))
    assert condition(cov).k90 == pytest.approx(size / eigenvalues[place - 1])


def test_a_singular_covariance_has_an_infinite_condition_and_its_rank():
    cov = torch.from_numpy(covariance(np.array([3.0, 2.0, 1.0] + [0.0] * 7)))
    assert condition(cov) == (math.inf, math.inf)
    assert rank(cov) == 3
    eigenvalues = np.array([4.0] * 19 + [0.0])
    assert condition(torch.from_numpy(covariance(eigenvalues))).k90 < 1.001


def test_what_is_not_finite_or_all_zero_has_no_condition():
    covs = torch.stack([torch.full((3, 3), torch.nan), torch.zeros(3, 3)])
    assert condition_numbers(covs, 1e-12).isnan().all()


def test_correlations_are_numpys():
    data = RNG.standard_normal((8, 500)) * np.geomspace(1, 1e3, 8)[:, None]
    data[1] += 0.9 * data[0]
    cov = torch.from_numpy(np.cov(data, bias=True))
    expected = np.corrcoef(data)
    np.testing.assert_allclose(correlation(cov), expected, atol=1e-12)
    np.fill_diagonal(expected, 0)
    assert largest_correlation(cov) == pytest.approx(abs(expected).max())


def test_a_channel_that_does_not_vary_has_no_correlation():
    cov = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert largest_correlation(cov) == 0
    assert largest_correlation(torch.ones(1, 1)) == 0


def test_spread_of_the_live_channels():
    variance = torch.tensor([4.0, 1.0, 0.0, 100.0])
    assert scale_spread(variance, variance > 0) == 10
    assert math.isnan(scale_spread(variance, variance < 0))


def test_axes_that_change_places():
    """DBN Fig. 1: eigenvalues change order, eigenvectors stay."""
    before = torch.diag(torch.tensor([4.0, 2.0, 1.0]))
    swapped = torch.diag(torch.tensor([2.0, 4.0, 1.0]))
    assert axis_swaps(before[None], before[None] * 3) == 0
    assert axis_swaps(before[None], swapped[None]) == pytest.approx(2 / 3)


def test_moments_of_batches_are_those_of_all_elements():
    mix = RNG.standard_normal((6, 6))
    data = RNG.standard_normal((1000, 6)) @ mix + 1e6
    joint = JointMoments()
    for part in np.split(data, [10, 11, 400]):
        joint.add(torch.from_numpy(part))
    assert joint.count == 1000
    np.testing.assert_allclose(joint.mean, data.mean(0), rtol=1e-12)
    expected = np.cov(data.T, bias=True)
    np.testing.assert_allclose(joint.cov, expected, rtol=1e-7, atol=1e-7)


def test_vectors_that_are_not_finite_are_left_out_and_counted():
    data = torch.randn(50, 3, dtype=torch.float64)
    joint = JointMoments()
    joint.add(torch.cat([data, torch.full((2, 3), torch.inf).double()]))
    joint.add(torch.full((1, 3), torch.nan).double())
    assert (joint.count, joint.skipped) == (50, 3)
    torch.testing.assert_close(joint.cov, torch.cov(data.T, correction=0))


def test_all_elements_or_a_random_choice_of_different_ones():
    x = torch.arange(3 * 2 * 5.0).view(3, 2, 5)
    generator = torch.Generator().manual_seed(0)
    every = take(x, choose_elements(x, 100, generator), torch.arange(2))
    torch.testing.assert_close(
        every, x.transpose(1, 2).reshape(15, 2).double()
    )
    some = take(x, choose_elements(x, 7, generator), torch.tensor([1]))
    assert some.shape == (7, 1)
    assert len(some.unique()) == 7
    assert set(some.flatten().tolist()) <= set(x[:, 1].flatten().tolist())


@pytest.mark.parametrize('channels', [1, 64, 512, 513, 1000, 2048])
def test_channels_are_chosen_in_whole_blocks(channels):
    found = choose_channels(channels, 512)
    assert len(found) == min(channels, 512)
    assert len(found.unique()) == len(found)
    assert 0 <= found.min() and found.max() < channels
    if channels > 512:
        assert (found.view(-1, 64)[:, 0] % 64 == 0).all()
