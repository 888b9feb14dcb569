"""The compiled small-matrix stage gives what PyTorch gives in float64."""

import pytest
import torch

from tests.norms.cases import Case
from whiten_plugins.ops import Moments, Parameters, running
from whiten_plugins.ops.backends.native import statistics as between
from whiten_plugins.ops.backends.native import transform as stage
from whiten_plugins.ops.backends.torch import mixture as mixing
from whiten_plugins.ops.backends.torch import transform
from whiten_plugins.ops.running import Running

CASES = [
    Case('SN'),
    Case('SN', dict(ratio_groups=4)),
    Case('SN', dict(hard=True, tie_weight=True)),
    Case('SN', dict(affine=False)),
    Case('SW', dict(num_pergroup=8)),
    Case('SW', dict(num_pergroup=16, sw_type=3)),
    Case('SW', dict(num_pergroup=4, sw_type=5)),
    Case('SW', dict(num_pergroup=32, sw_type=5, hard=True)),
    Case('GW', dict(num_groups=4)),
    Case('GW', dict(num_groups=32)),
    Case('GW', dict(num_groups=4, affine=False)),
    Case('IW'),
    Case('ItN', dict(num_pergroup=8, T=1)),
    Case('ItN', dict(running='cov', T=7)),
]
SAMPLES, CHANNELS = 3, 32


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def random_moments(samples, groups, rows):
    factors = torch.randn(samples, groups, rows, 2 * rows).double()
    cov = factors @ factors.mT / (2 * rows)
    return Moments(torch.randn(samples, groups, rows).double(), cov)


def inputs(norm):
    """Moments and parameters for a norm, as the core calls the stage."""
    spec, rows = norm.spec, norm.spec.num_rows
    groups = 1 if spec.across_groups else CHANNELS // rows
    sample = random_moments(SAMPLES, groups, rows)
    batch = mixing.merge_samples(sample) if spec.uses_batch else None
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    logits = norm.mean_weight
    parameters = Parameters(
        norm.weight,
        norm.bias,
        logits,
        logits if norm.tie_weight else norm.var_weight,
    )
    return sample if spec.uses_samples else None, batch, parameters


def to(dtype, values):
    if values is None:
        return None
    return type(values)(
        *(v if v is None else v.detach().to(dtype) for v in values)
    )


def assert_close(actual, expected, terms=1e-3):
    """To float32's rounding of the largest value, or of ``terms``, the size
    of what was summed up."""
    for value, wanted in zip(actual, expected):
        assert (value is None) == (wanted is None)
        if wanted is not None:
            tolerance = 1e-5 * max(wanted.abs().max().item(), terms)
            torch.testing.assert_close(
                value.double(),
                wanted.expand_as(value),  # PyTorch's may be of the batch
                rtol=0,
                atol=tolerance,
            )


def subsets(spec):
    """All statistics, and those that are left where maps are 1x1."""
    left = tuple(name for name in spec.stats if name not in ('in', 'iw'))
    return [spec.stats] + [left] * (left not in ((), spec.stats))


@pytest.mark.parametrize('case', CASES, ids=str)
def test_forward(case):
    norm = case.norm(CHANNELS)
    arguments = inputs(norm)
    for active in subsets(norm.spec):
        options = (norm.spec, active)
        actual = stage.transform(
            *(to(torch.float, v) for v in arguments), *options
        )
        expected = transform.transform(
            *(to(torch.double, v) for v in arguments), *options
        )
        assert_close(actual, to(torch.double, expected))


@pytest.mark.parametrize('case', CASES, ids=str)
def test_backward(case):
    norm = case.norm(CHANNELS)
    arguments = inputs(norm)
    for active in subsets(norm.spec):
        options = (norm.spec, active)
        doubles = [to(torch.double, v) for v in arguments]
        A, b, _ = transform.transform(*doubles, *options)
        dA = torch.randn(SAMPLES, *A.shape[1:]).double()
        db = torch.randn(SAMPLES, *b.shape[1:]).double()
        A, expected = transform.transform_backward(dA, db, *doubles, *options)
        again, actual = stage.transform_backward(
            dA.float(),
            db.float(),
            *(to(torch.float, v) for v in arguments),
            *options,
        )
        assert_close([again], [A])
        for moments, wanted in zip(actual[:2], expected[:2]):
            assert (moments is None) == (wanted is None)
            if wanted is not None:  # of covariances the symmetric part counts
                assert_close(
                    (moments.mean, moments.cov + moments.cov.mT),
                    (wanted.mean, wanted.cov + wanted.cov.mT),
                )
        terms = (expected.sample or expected.batch).mean.norm().item()
        assert_close(actual.parameters, expected.parameters, terms)


def test_merged_samples():
    sample = random_moments(SAMPLES, 4, 8)
    actual = between.merge_samples(to(torch.float, sample))
    assert_close(actual, mixing.merge_samples(sample))


@pytest.mark.parametrize('count', [5, torch.tensor(5.0)], ids=str)
def test_gradient_through_moments(count):
    moments, gradients = (random_moments(SAMPLES, 4, 8) for _ in range(2))
    actual = between.moments_backward(
        to(torch.float, moments), to(torch.float, gradients), count
    )
    assert_close(actual, mixing.moments_backward(moments, gradients, count))


@pytest.mark.parametrize('momentum', [0, 0.1, 0.9, 1])
def test_running_statistics(momentum):
    """Group 1 has a NaN, group 2 an Inf: both stay as they were."""
    mean, cov = to(torch.float, random_moments(1, 4, 8))
    mean[0, 1, 3], cov[0, 2, 3, 3] = torch.nan, torch.inf
    start = torch.randn(32), torch.randn(4, 8, 8)
    actual = Running(*(v.clone() for v in start))
    expected = Running(*(v.clone() for v in start))
    between.update_running(actual, mean, cov, momentum)
    running.update_running(expected, mean, cov, momentum)
    for value, wanted in zip(actual, expected):
        torch.testing.assert_close(value, wanted)
    assert torch.equal(actual.mean[8:24], start[0][8:24])


def test_running_statistics_count_as_changed():
    """Autograd then refuses a backward that would read the old values."""
    mean, cov = to(torch.float, random_moments(1, 4, 8))
    buffers = Running(torch.zeros(32), torch.zeros(4, 8, 8))
    before = [v._version for v in buffers]
    between.update_running(buffers, mean, cov, 0.1)
    assert all(v._version > old for v, old in zip(buffers, before))


def test_statistic_left_out_by_a_hard_choice_may_be_nan():
    norm = Case('SN', dict(hard=True)).norm(CHANNELS)
    sample, batch, parameters = (to(torch.float, v) for v in inputs(norm))
    sample.mean[1, 0] = torch.nan
    for logits in parameters[2:]:
        logits.copy_(torch.tensor([0.0, 0.0, 1.0]))  # in, ln, bn
    arguments = sample, batch, parameters, norm.spec, norm.spec.stats
    A, b, _ = stage.transform(*arguments)
    _, gradients = stage.transform_backward(
        *(torch.ones(SAMPLES, *v.shape[1:]) for v in (A, b)), *arguments
    )
    for values in ((A, b), *gradients):
        assert all(v.isfinite().all() for v in values)
    assert not any(v.any() for v in gradients.sample)


def test_parameters_with_gaps_between_their_elements():
    norm = Case('SW', dict(num_pergroup=8)).norm(CHANNELS)
    moments = [to(torch.float, v) for v in inputs(norm)[:2]]
    gapless = to(torch.float, inputs(norm)[2])
    gaps = Parameters(*(v.repeat_interleave(2)[::2] for v in gapless))
    options = norm.spec, norm.spec.stats
    for actual, wanted in zip(
        stage.transform(*moments, gaps, *options),
        stage.transform(*moments, gapless, *options),
    ):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=0)


@pytest.mark.parametrize('left', ['weight', 'running_mean'])
def test_norm_left_on_another_device(left):
    norm = Case('SW', dict(num_pergroup=8)).norm(CHANNELS).eval()
    values = getattr(norm, left).to('meta')
    if left == 'weight':
        values = torch.nn.Parameter(values)
    setattr(norm, left, values)
    with pytest.raises(RuntimeError, match='meta'):
        norm(torch.randn(2, CHANNELS, 4, 4))


@pytest.mark.parametrize('whitening', ['zca', 'pca'])
def test_eigenvectors_are_pytorchs(whitening, monkeypatch):
    norm = Case('BW', dict(num_pergroup=8, whitening=whitening)).norm(CHANNELS)
    called = []
    monkeypatch.setattr(
        transform, 'transform', lambda *arguments: called.append(arguments)
    )
    arguments = [to(torch.float, v) for v in inputs(norm)]
    stage.transform(*arguments, norm.spec, norm.spec.stats)
    assert called
