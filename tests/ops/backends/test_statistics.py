"""What becomes of moments between the passes, in every backend."""

import pytest
import torch

from whiten_plugins.ops import Moments, Running

from .inputs import assert_near


def random_moments(samples, groups, rows, seed=0, device='cpu'):
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(
        samples, groups, rows, 2 * rows, generator=generator
    ).double()
    mean = torch.randn(samples, groups, rows, generator=generator)
    cov = factors @ factors.mT / (2 * rows)
    return Moments(mean.to(device), cov.float().to(device))


def doubled(moments):
    return Moments(*(v.double() for v in moments))


@pytest.mark.parametrize('samples, rows', [(1, 1), (3, 8), (40, 1), (9, 33)])
def test_merged_samples_are_the_moments_of_the_batch(
    backend, device, samples, rows
):
    sample = random_moments(samples, 4, rows, device=device)
    mean, cov = doubled(sample)
    offset = (mean - mean.mean(0)).unsqueeze(-1)
    expected = mean.mean(0), (cov + offset @ offset.mT).mean(0)
    for value, wanted in zip(backend.merge_samples(sample), expected):
        assert_near(value, wanted.unsqueeze(0))


@pytest.mark.parametrize('count', [5, torch.tensor(5.0)], ids=str)
def test_gradient_through_moments(backend, device, count):
    moments, grads = (
        random_moments(3, 4, 8, seed, device) for seed in range(2)
    )
    B, d = backend.moments_backward(moments, grads, count)
    mean, _ = doubled(moments)
    d_mean, d_cov = doubled(grads)
    slope = (d_cov + d_cov.mT) / 5
    assert_near(B, slope)
    assert_near(d, d_mean / 5 - (slope @ mean.unsqueeze(-1)).squeeze(-1))


def test_gradient_through_moments_that_a_hard_choice_left_out(backend, device):
    moments, grads = (random_moments(2, 3, 4, k, device) for k in range(2))
    moments.mean[0, 1] = torch.nan
    grads.cov[0, 1] = 0
    B, d = backend.moments_backward(moments, grads, 7)
    assert B.isfinite().all() and d.isfinite().all()


def start(device, dtype=torch.float32):
    return Running(
        torch.zeros(32, device=device, dtype=dtype),
        torch.zeros(4, 8, 8, device=device, dtype=dtype),
        torch.tensor(0, device=device),
    )


@pytest.mark.parametrize('momentum', [0, 0.1, 0.9, 1])
def test_momentum_is_the_weight_of_the_batch(backend, device, momentum):
    """Group 1 has a NaN, group 2 an Inf: both stay whole as they were."""
    batch = random_moments(1, 4, 8, device=device)
    batch.mean[0, 1, 3], batch.cov[0, 2, 3, 3] = torch.nan, torch.inf
    running = Running(
        torch.randn(32, device=device), torch.randn(4, 8, 8, device=device)
    )
    before = [v.clone() for v in running[:2]]
    backend.update_running(running, batch, momentum)
    for buffer, old, value in zip(running, before, batch):
        buffer, old = (v.view(4, -1) for v in (buffer, old))
        wanted = old.double().lerp(value.view(4, -1).double(), momentum)
        assert torch.equal(buffer[1:3], old[1:3])
        assert_near(buffer[[0, 3]], wanted[[0, 3]], 1e-6)


def test_running_statistics_count_as_changed(backend, device):
    """Autograd then refuses a backward that would read the old values."""
    running = start(device)
    before = [v._version for v in running]
    backend.update_running(running, random_moments(1, 4, 8, 0, device), 0.1)
    assert all(v._version > old for v, old in zip(running, before))


def spoiled(batch, group):
    """The same with a NaN in one group, or in all for None."""
    mean = batch.mean.clone()
    mean[0, slice(None) if group is None else group, 3] = torch.nan
    return batch._replace(mean=mean)


def test_batches_without_statistics_do_not_count(backend, device):
    batch = random_moments(1, 4, 8, device=device)
    running = start(device)
    for given in (batch, spoiled(batch, None), spoiled(batch, 2)):
        backend.update_running(running, given, 0.5)
    assert running.num_batches.item() == 2


def test_mean_of_all_batches_is_that_of_those_that_counted(backend, device):
    """One with a NaN anywhere does not: no group has a count of its own."""
    batches = [random_moments(1, 4, 8, seed, device) for seed in range(4)]
    given = [batches[0], spoiled(batches[1], 2), *batches[2:]]
    running = start(device)
    for batch in given:
        backend.update_running(running, batch, None)
    counted = [batches[0], *batches[2:]]
    assert running.num_batches.item() == 3
    mean = sum(batch.mean.double() for batch in counted) / 3
    cov = sum(batch.cov.double() for batch in counted) / 3
    assert_near(running.mean, mean.flatten())
    assert_near(running.cov, cov[0])


def test_half_precision_buffers_hold_what_fits(backend, device):
    """The batch alone would overflow float16; its share does not."""
    batch = random_moments(1, 4, 8, device=device)
    batch.cov[...] = 2e5
    running = start(device, torch.float16)
    backend.update_running(running, batch, 0.1)
    assert_near(running.cov, torch.full((4, 8, 8), 2e4).double(), 1e-3)
    for _ in range(50):
        backend.update_running(running, batch, 0.1)
    assert running.cov.isfinite().all()
