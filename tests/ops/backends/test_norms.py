"""Whole norms: every backend gives what the equations give in float64."""

import pytest
import torch

from tests.norms.cases import Case, assert_same, random_input, run
from whiten_plugins.ops.backends import backend_for

MAP = (2, 4, 3, 5)
CASES = [
    (Case('SN'), MAP),
    (Case('SN'), (3, 5)),
    (Case('SN'), (2, 5, 1, 1)),
    (Case('SN', dict(ratio_groups=2)), MAP),
    (Case('SN', dict(hard=True, tie_weight=True)), MAP),
    (Case('SN', dict(stats=('bn',), affine=False)), MAP),
    (Case('SW', dict(num_pergroup=4)), (2, 4, 1, 1)),
    (Case('SW', dict(num_pergroup=3)), (1, 3, 1, 7)),
    (Case('SW'), (1, 16, 33)),
    (Case('SW', dict(num_pergroup=3, sw_type=3)), (2, 6, 3, 5)),
    (Case('SW', dict(num_pergroup=5, sw_type=5)), (2, 5, 2, 2, 3)),
    (Case('SW', dict(num_pergroup=4, sw_type=5, hard=True)), MAP),
    (Case('SW', dict(num_pergroup=4, whitening='zca')), MAP),
    (Case('GW', dict(num_groups=2)), MAP),
    (Case('GW', dict(num_groups=3, T=3)), (2, 9, 7)),
    (Case('GW', dict(num_groups=1)), MAP),
    (Case('BW', dict(num_pergroup=2)), (3, 4, 3, 5)),
    (Case('ItN', dict(num_pergroup=2)), MAP),
    (Case('ItN', dict(num_pergroup=4, running='cov')), MAP),
    (Case('IW', dict(num_pergroup=4)), MAP),
]
KINDS = [
    Case('SN'),
    Case('SW', dict(num_pergroup=4)),
    Case('GW', dict(num_groups=2)),
    Case('ItN', dict(num_pergroup=4)),
]


@pytest.fixture(autouse=True)
def forced(backend, monkeypatch):
    """Every norm here runs in the backend; float64 is PyTorch's anyway."""
    monkeypatch.setenv('WHITEN_PLUGINS_BACKEND', backend.name)


def check(case, x, device, training=True, tolerance=1e-4):
    grad = random_input(x.shape, seed=1).to(x.dtype)
    norm = case.norm(x.shape[1], eps=1e-2).to(device)
    expected = case.norm(x.shape[1], eps=1e-2).double()
    for seed, name in enumerate(dict(norm.named_parameters())):
        parameter, other = (
            norm.get_parameter(name),
            expected.get_parameter(name),
        )
        values = random_input((1, parameter.numel()), seed).view_as(other)
        parameter.data.copy_(values)
        other.data.copy_(parameter)
    norm.train(training), expected.train(training)
    results = run(norm, x.to(device), grad.to(device))
    assert_same(
        {name: value.cpu() for name, value in results.items()},
        run(expected, x.double(), grad.double()),
        tolerance,
    )
    for name, buffer in norm.named_buffers():
        other = expected.get_buffer(name)
        torch.testing.assert_close(
            buffer.cpu().double(), other.double(), rtol=1e-5, atol=1e-5
        )
    return results['output']


@pytest.mark.parametrize('case, shape', CASES, ids=str)
def test_training(case, shape, device):
    check(case, random_input(shape).float(), device)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_evaluation(case, device):
    check(case, random_input(MAP).float(), device, training=False)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_float16(case, device):
    y = check(case, random_input(MAP).half(), device)
    assert y.dtype == torch.float16


@pytest.mark.parametrize('case', KINDS[:2], ids=str)
def test_bfloat16(case, backend, device):
    # The interpreter truncates where a GPU rounds.
    interpreted = backend.name == 'triton' and device.type == 'cpu'
    tolerance = 4e-3 if interpreted else 1e-4
    x = random_input(MAP).bfloat16()
    assert check(case, x, device, tolerance=tolerance).dtype == x.dtype


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_channels_last(case, device):
    last = torch.channels_last
    x = random_input(MAP).float().contiguous(memory_format=last)
    assert check(case, x, device).is_contiguous(memory_format=last)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_large_mean(case, device):
    """A thousand deviations away, where float32 has four digits left."""
    x = random_input((2, 4, 5, 7)) + 1000
    check(case, x.float(), device, tolerance=1e-2)


def test_empty_batch(device):
    x = torch.empty(0, 4, 3, 5, device=device)
    assert Case('SN').norm(4).to(device)(x).shape == x.shape


def test_the_backend_did_it(backend, device):
    """What is compared above is not PyTorch with itself."""
    assert backend_for(torch.ones(8, device=device)) is backend
