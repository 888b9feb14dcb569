"""All steps in one call: parts of the input, and what is left to the steps."""

import copy

import pytest
import torch

from tests.norms.cases import (
    Case,
    assert_close,
    assert_same,
    random_input,
    run,
)
from whiten_plugins.ops.backends import selection
from whiten_plugins.ops.backends.native.fused import FusedNorm

pytestmark = pytest.mark.skipif(
    bool(selection.native_failure()), reason='no C++ kernels here'
)

# What is apart from what: nothing, channels, samples, or both.
CASES = [
    Case('SN'),
    Case('SN', dict(stats=('in', 'bn'))),
    Case('SN', dict(stats=('in', 'ln'))),
    Case('SN', dict(stats=('bn',))),
    Case('SN', dict(ratio_groups=4)),
    Case('SW', dict(sw_type=5)),
    Case('SW', dict(stats=('iw', 'in'))),
    Case('SW', dict(stats=('bw', 'bn'), tie_weight=True)),
    Case('GW', dict(num_groups=16)),
    Case('GW', dict(num_groups=16, affine=False)),
    Case('ItN', dict(momentum=None)),
    Case('ItN', dict(running='cov')),
    Case('IW'),
    Case('IBN'),
]
# Larger than a part: of several threads, and with a last part that is smaller.
LARGE = [(4, 64, 40, 50), (5, 48, 33, 31), (1, 112, 31, 31)]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def randomized(case, channels):
    torch.manual_seed(0)
    norm = case.norm(channels)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    return norm


@pytest.fixture
def fused_calls(monkeypatch):
    """Inputs of the kernels for all steps."""
    seen = []
    forward = FusedNorm.forward

    def noted(self, x, *others):
        seen.append(x)
        return forward(self, x, *others)

    monkeypatch.setattr(FusedNorm, 'forward', noted)
    return seen


@pytest.mark.parametrize('shape', LARGE, ids=str)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_large_inputs_in_parts(case, shape, two_threads, fused_calls):
    norm = randomized(case, shape[1])
    expected = copy.deepcopy(norm).double()
    for seed, training in enumerate((True, True, False)):
        norm.train(training), expected.train(training)
        x, grad = (
            random_input(shape, k).contiguous() for k in (seed, seed + 9)
        )
        actual = run(norm, x.float(), grad.float())
        assert_same(actual, run(expected, x, grad), 3e-4)
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, 1e-5)
    assert len(fused_calls) == 3


def test_gradient_of_parameters_alone(fused_calls):
    norm = randomized(Case('SW'), 32)
    x = torch.randn(2, 32, 6, 6)
    norm(x).square().sum().backward()
    alone = {name: p.grad for name, p in norm.named_parameters()}
    norm.zero_grad()
    norm(x.requires_grad_()).square().sum().backward()
    for name, parameter in norm.named_parameters():
        assert torch.equal(parameter.grad, alone[name])
    assert len(fused_calls) == 2


def test_gradient_with_other_strides_than_the_input():
    norm = randomized(Case('SN'), 8)
    x = torch.randn(2, 8, 4, 4, requires_grad=True)
    grad = torch.randn(2, 8, 4, 4)
    (expected,) = torch.autograd.grad(norm(x), x, grad)
    strided = grad.contiguous(memory_format=torch.channels_last)
    (actual,) = torch.autograd.grad(norm(x), x, strided)
    assert torch.equal(actual, expected)
    (actual,) = torch.autograd.grad(norm(x).sum(), x)
    (expected,) = torch.autograd.grad(norm(x), x, torch.ones_like(x))
    assert torch.equal(actual, expected)


@pytest.mark.parametrize(
    'case',
    [Case('SN'), Case('ItN', dict(running='matrix'))],
    ids=str,
)
def test_steps_take_what_one_call_does_not(case, fused_calls):
    """channels_last, half parameters, and running statistics elsewhere."""
    norm, expected = randomized(case, 16), randomized(case, 16).double()
    x = random_input((2, 16, 5, 5)).contiguous()
    last = x.float().contiguous(memory_format=torch.channels_last)
    assert_close(norm(last), expected(x), 1e-5)
    norm.running_mean = norm.running_mean.double()
    assert_close(norm.eval()(x.float()), expected.eval()(x), 1e-5)
    norm = randomized(case, 16).half()
    assert norm(x.half()).dtype == torch.half
    assert not fused_calls


def test_running_statistics_changed_before_the_backward_are_noticed():
    """In evaluation they are read again."""
    norm = randomized(Case('SN'), 8).eval()
    y = norm(torch.randn(2, 8, 4, 4, requires_grad=True))
    norm.train()(torch.randn(2, 8, 4, 4))
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        y.sum().backward()


def test_whitening_that_is_not_newtons_is_left_to_the_steps(fused_calls):
    norm = randomized(Case('SW', dict(whitening='zca')), 16)
    norm(torch.randn(2, 16, 4, 4))
    assert not fused_calls
    norm = randomized(Case('BW'), 16).eval()  # the matrix is there already
    norm(torch.randn(2, 16, 4, 4))
    assert len(fused_calls) == 1


def test_what_depends_on_the_shape_alone_is_found_once(monkeypatch):
    found = []
    monkeypatch.setattr(
        FusedNorm, '__init__', lambda self, *_: found.append(self)
    )
    monkeypatch.setattr(FusedNorm, 'serves', lambda *_: False)
    norm = randomized(Case('SN', dict(eps=0.00123)), 8)
    x = torch.randn(2, 8, 4, 4)
    for _ in range(3):
        norm(x)
    assert len(found) == 1
    norm.eval()(x), norm(torch.randn(2, 8, 4, 5))
    assert len(found) == 3
