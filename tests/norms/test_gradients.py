"""First derivatives are exact; second ones work or are refused."""

import math
import re

import pytest
import torch
from torch import nn
from torch.func import functional_call

from tests import reference

from .cases import (
    CASES,
    KINDS,
    SHAPES,
    Case,
    assert_close,
    assert_same,
    random_input,
    run,
)

# Small, and of full rank for every group of two channels.
CHECK_SHAPE = (2, 4, 2, 3)
LIMITS = {'num_pergroup': 2, 'num_groups': 2, 'ratio_groups': 2}


def shrunk(case):
    """The case with groups that fit four channels."""
    kwargs = dict(case.kwargs)
    for name in LIMITS.keys() & kwargs.keys():
        kwargs[name] = min(kwargs[name], LIMITS[name])
    return Case(case.type, kwargs)


def gradcheck(norm, x):
    """Compare with finite differences, for the input and all parameters."""
    names = [name for name, _ in norm.named_parameters()]
    parameters = [p.detach().requires_grad_() for p in norm.parameters()]

    def function(x, *parameters):
        state = dict(zip(names, parameters, strict=True))
        return functional_call(norm, state, (x,))

    inputs = (x.detach().requires_grad_(), *parameters)
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('case', CASES, ids=str)
def test_finite_differences(case, training):
    norm, _ = shrunk(case).pair(4)
    norm(random_input(CHECK_SHAPE, seed=1))  # running statistics of a kind
    gradcheck(norm.train(training), random_input(CHECK_SHAPE))


def test_finite_differences_of_pca():
    case = Case('BW', dict(num_pergroup=2, whitening='pca'))
    norm, _ = case.pair(4)
    gradcheck(norm, random_input(CHECK_SHAPE))


# ------------------------------------------------------ second derivatives
def penalty_backward(loss, penalty, leaf):
    penalty.backward()
    return leaf.grad


def penalty_grad(loss, penalty, leaf):
    return torch.autograd.grad(penalty, leaf)[0]


def penalized_loss_grad(loss, penalty, leaf):
    """The loss has a path to the leaf, so nothing seems to be missing."""
    return torch.autograd.grad(loss + penalty, leaf)[0]


@pytest.mark.parametrize(
    'differentiate', [penalty_backward, penalty_grad, penalized_loss_grad]
)
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_second_derivative_is_right_or_refused(case, training, differentiate):
    """As in a gradient penalty; never silently left out."""
    norm, expected = case.pair()

    def second_derivative(module):
        module.train(training)
        leaf = random_input(SHAPES['NCHW']).requires_grad_()
        loss = module(leaf).pow(3).sum()
        (gradient,) = torch.autograd.grad(loss, leaf, create_graph=True)
        return differentiate(loss, gradient.square().sum(), leaf)

    try:
        actual = second_derivative(norm)
    except RuntimeError as error:
        assert re.search('twice|second|double', str(error)), str(error)
    else:
        assert_close(actual, second_derivative(expected), 1e-8)


# -------------------------------------------------------- equal eigenvalues
ZCA = [
    Case('SW', dict(num_pergroup=4, whitening='zca')),
    Case('SW', dict(num_pergroup=4, whitening='zca', sw_type=3)),
    Case('SW', dict(num_pergroup=4, whitening='zca', sw_type=5)),
    Case('GW', dict(num_groups=4, whitening='zca')),
    Case('BW', dict(num_pergroup=4)),
    Case('BW', dict(num_pergroup=4, running='cov')),
    Case('IW', dict(num_pergroup=4, whitening='zca')),
]


def white_input(noise=0.0):
    """(2, 4, 2, 4); every sample's covariance is I, up to the noise."""
    signs = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(3):
        signs = torch.cat(
            [torch.cat([signs, signs], 1), torch.cat([signs, -signs], 1)]
        )
    x = torch.stack([signs[1:5], signs[1:5].flip(1)]).view(2, 4, 2, 4)
    return x + noise * random_input(x.shape)


@pytest.mark.parametrize('noise', [0.0, 1e-12, 1e-9])
@pytest.mark.parametrize('case', ZCA, ids=str)
def test_equal_eigenvalues(case, noise):
    norm, _ = case.pair(4)
    gradcheck(norm, white_input(noise))


@pytest.mark.parametrize('noise', [0.0, 1e-12, 1e-9])
@pytest.mark.parametrize('case', ZCA, ids=str)
def test_equal_eigenvalues_as_converged_newton(case, noise):
    """Newton's iteration has the same limit and no gaps in its gradient."""
    norm, expected = case.pair(4)
    expected.whitening, expected.T = 'itn', 12
    x, grad = white_input(noise), random_input((2, 4, 2, 4), seed=1)
    assert_same(run(norm, x, grad), run(expected, x, grad), 1e-9)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize('case', ZCA, ids=str)
def test_equal_eigenvalues_in_low_precision(case, dtype):
    norm, expected = case.pair(4)
    expected.whitening, expected.T = 'itn', 12
    x = white_input().to(dtype)
    grad = random_input((2, 4, 2, 4), seed=1).to(dtype)
    assert_same(
        run(norm.float(), x, grad),
        run(expected, x.double(), grad.double()),
        1e-5,
    )


@pytest.mark.parametrize('case', ZCA, ids=str)
def test_fewer_positions_than_channels(case):
    """A covariance of low rank: all other eigenvalues are eps."""
    norm, _ = case.pair(4, eps=0.1)
    gradcheck(norm, random_input((1, 4, 1, 3)))


# ------------------------------------------------- who asks for a gradient
def leaves(norm, x):
    return dict(norm.named_parameters(), input=x)


def wanted_subsets(norm):
    """Each leaf alone, all but each, and the parameters without logits."""
    names = list(leaves(norm, None))
    for name in names:
        yield {name}
        yield set(names) - {name}
    yield {'weight', 'bias'} & set(names)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_gradients_of_some_leaves_only(case, training):
    norm, expected = case.pair()
    norm.train(training)
    x = random_input(SHAPES['NCHW'])
    grad = random_input(SHAPES['NCHW'], seed=1)
    expected.train(training)
    everything = run(expected, x, grad)
    for wanted in wanted_subsets(norm):
        leaf = x.clone()
        norm.zero_grad()
        for name, tensor in leaves(norm, leaf).items():
            tensor.requires_grad_(name in wanted)
        norm(leaf).backward(grad)
        for name, tensor in leaves(norm, leaf).items():
            if name not in wanted:
                assert tensor.grad is None
            elif tensor.grad is None:  # a logit that reaches nothing
                assert everything[name].abs().max() == 0
            else:
                assert_close(tensor.grad, everything[name], 1e-9)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_no_gradient_wanted(case):
    norm, expected = case.pair()
    x = random_input(SHAPES['NCHW'])
    with torch.no_grad():
        y = norm(x)
    assert not y.requires_grad
    assert_close(y, expected(x), 1e-10)
    norm.requires_grad_(False)
    assert not norm(x).requires_grad
    expected(x)
    with torch.inference_mode():
        y = norm.eval()(x)
    assert_close(y, expected.eval()(x), 1e-10)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_gradients_accumulate_over_two_uses(case):
    """As shared heads do: one norm, two inputs, one backward."""
    norm, expected = case.pair()
    results = []
    for module in (norm, expected):
        inputs = [
            random_input(SHAPES['NCHW'], seed).requires_grad_()
            for seed in range(2)
        ]
        sum(module(x).pow(3).sum() for x in inputs).backward()
        results.append(
            [p.grad for p in module.parameters()] + [x.grad for x in inputs]
        )
    for actual, wanted in zip(*results, strict=True):
        assert_close(actual, wanted, 1e-9)


def test_hard_ratios_reach_what_they_select():
    """The chosen statistic gets the gradient, logits get none."""
    norm, _ = Case('SN', dict(hard=True)).pair()
    with torch.no_grad():
        norm.mean_weight.copy_(torch.tensor([2.0, 1.0, 1.0]))
        norm.var_weight.copy_(torch.tensor([1.0, 1.0, 2.0]))
    mixed = reference.SN(8, stats=('in', 'bn')).double()
    nn.init.constant_(mixed.mean_weight, 0)
    with torch.no_grad():
        mixed.mean_weight[1] = -math.inf
        mixed.var_weight[0] = -math.inf
        mixed.weight.copy_(norm.weight)
        mixed.bias.copy_(norm.bias)
    x, grad = random_input(SHAPES['NCHW']), random_input(SHAPES['NCHW'], 1)
    actual, wanted = run(norm, x, grad), run(mixed, x, grad)
    for name in ('output', 'input', 'weight', 'bias'):
        assert_close(actual[name], wanted[name], 1e-10)
    assert actual['mean_weight'].abs().max() == 0
    assert actual['var_weight'].abs().max() == 0
