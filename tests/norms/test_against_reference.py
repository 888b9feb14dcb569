"""Every type and argument equals the papers' equations, in every mode."""

import pytest
import torch

from .cases import (
    CASES,
    KINDS,
    NUM_FEATURES,
    SHAPES,
    Case,
    assert_close,
    assert_same,
    random_input,
    run,
)

# Of the largest value; half precision is rounded once, at the end.
TOLERANCES = {
    torch.float64: 1e-10,
    torch.float32: 1e-5,
    torch.float16: 1e-5,
    torch.bfloat16: 1e-5,
}
HALF = (torch.float16, torch.bfloat16)


def steps(case, shape, dtype, modes, **kwargs):
    """Yield the results of the norm and of its reference, step by step.

    Half precision is that of mixed-precision training: the activations are
    half, the parameters float32. The reference sees the rounded input.
    """
    norm, expected = case.pair(shape[1], **kwargs)
    norm.to(torch.float32 if dtype in HALF else dtype)
    for seed, training in enumerate(modes):
        norm.train(training)
        expected.train(training)
        x = random_input(shape, seed).to(dtype)
        grad = random_input(shape, seed + 100).to(dtype)
        yield run(norm, x, grad), run(expected, x.double(), grad.double())
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, TOLERANCES[dtype])


@pytest.mark.parametrize(
    'rank, dtype',
    [
        *((rank, torch.float64) for rank in SHAPES),
        *((rank, torch.float32) for rank in SHAPES),
        *(('NCHW', dtype) for dtype in HALF),
    ],
    ids=str,
)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_training_steps_then_evaluation(case, rank, dtype):
    shape = SHAPES[rank]
    if not case.defined_for(shape):
        pytest.skip('nothing to normalize')
    # Few observations and a small eps amplify the rounding of float32: by
    # Newton's steps alone 1.5^(3T) where the covariance has a null space.
    few = rank == 'NC' and dtype is not torch.float64
    modes = (True, True, False)
    results = steps(case, shape, dtype, modes, eps=4.0 if few else 1e-5)
    for actual, expected in results:
        assert actual['output'].dtype == actual['input'].dtype == dtype
        assert_same(actual, expected, TOLERANCES[dtype])


@pytest.mark.parametrize('case', CASES, ids=str)
def test_evaluation_before_any_training(case):
    (results,) = steps(case, SHAPES['NCHW'], torch.float64, (False,))
    assert_same(*results, TOLERANCES[torch.float64])


@pytest.mark.parametrize('momentum', [0.3, 1.0, None])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_momentum_is_that_of_torch(case, momentum):
    case = Case(case.type, dict(case.kwargs, momentum=momentum))
    for results in steps(
        case, SHAPES['NCHW'], torch.float64, (True, True, True, False)
    ):
        assert_same(*results, TOLERANCES[torch.float64])


@pytest.mark.parametrize('eps', [1e-3, 1.0])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_eps_joins_the_mixed_covariance(case, eps):
    case = Case(case.type, dict(case.kwargs, eps=eps))
    for results in steps(case, SHAPES['NCHW'], torch.float64, (True, False)):
        assert_same(*results, TOLERANCES[torch.float64])


# A base tensor's shape, and the view of it that the norm is given.
LAYOUTS = {
    'channels_last': (
        (3, 8, 4, 5),
        lambda x: x.contiguous(memory_format=torch.channels_last),
    ),
    'channels_last_3d': (
        (2, 8, 2, 3, 4),
        lambda x: x.contiguous(memory_format=torch.channels_last_3d),
    ),
    'batch and channels transposed': (
        (8, 3, 4, 5),
        lambda x: x.transpose(0, 1),
    ),
    'height and width transposed': (
        (3, 8, 5, 4),
        lambda x: x.transpose(2, 3),
    ),
    'sequence of vectors': ((3, 11, 8), lambda x: x.transpose(1, 2)),
    'columns of a matrix': ((8, 12), lambda x: x.t()),
    'every second column': ((3, 8, 4, 10), lambda x: x[..., ::2]),
    'a slice of the channels': ((3, 20, 4, 5), lambda x: x[:, 5:13]),
    'a slice of the channels, channels_last': (
        (3, 4, 5, 20),
        lambda x: x.permute(0, 3, 1, 2)[:, 5:13],
    ),
    'every second sample': ((6, 8, 4, 5), lambda x: x[::2]),
    'one sample, expanded': (
        (1, 8, 4, 5),
        lambda x: x.expand(3, 8, 4, 5),
    ),
    'one column, expanded': (
        (3, 8, 4, 1),
        lambda x: x.expand(3, 8, 4, 5),
    ),
}


def run_view(norm, base, view, grad):
    """`run`, with the gradient of what the view was taken of."""
    base = base.detach().requires_grad_()
    norm.zero_grad()
    norm(view(base)).backward(grad)
    results = {'input': base.grad}
    for name, parameter in norm.named_parameters():
        results[name] = parameter.grad.clone()
    return results


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_layout_of_the_input(case, layout):
    base_shape, view = LAYOUTS[layout]
    base = random_input(base_shape)
    x = view(base)
    if not case.defined_for(x.shape):
        pytest.skip('nothing to normalize')
    if layout.endswith('expanded') and case.whitening == 'zca':
        pytest.skip('equal eigenvalues: the reference has no gradient')
    norm, expected = case.pair()
    grad = random_input(tuple(x.shape), seed=1)
    assert_close(norm(x), expected(x), 1e-10)
    assert_same(
        run_view(norm, base, view, grad),
        run_view(expected, base, view, grad),
        1e-9,
    )


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_layout_of_the_gradient(case, layout):
    base_shape, view = LAYOUTS[layout]
    grad = view(random_input(base_shape, seed=1))
    if not case.defined_for(grad.shape):
        pytest.skip('nothing to normalize')
    norm, expected = case.pair()
    x = random_input(tuple(grad.shape))
    assert_same(run(norm, x, grad), run(expected, x, grad), 1e-9)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_gradient_of_a_plain_sum(case):
    """A sum's gradient is one element, expanded to all strides zero."""
    norm, expected = case.pair()
    x = random_input(SHAPES['NCHW'])
    one = torch.ones((), dtype=torch.float64).expand_as(x)
    assert_same(run(norm, x, one), run(expected, x, one), 1e-9)


# ---------------------------------------------------------------- PCA alone
# The order and the signs of principal axes are a convention, so the tests are
# of what does not depend on it.
@pytest.mark.parametrize('rank', SHAPES)
def test_pca_is_the_reference_up_to_order_and_sign(rank):
    case = Case('BW', dict(num_pergroup=4, whitening='pca', affine=False))
    norm, expected = case.pair()
    x = random_input(SHAPES[rank])
    outputs = norm(x).split(4, dim=1), expected(x).split(4, dim=1)
    for actual, wanted in zip(*outputs, strict=True):
        actual, wanted = (
            y.transpose(0, 1).flatten(1) for y in (actual, wanted)
        )
        correlation = (actual @ wanted.T / actual.shape[1]).abs()
        order = correlation.argmax(0)
        assert sorted(order.tolist()) == [0, 1, 2, 3]
        torch.testing.assert_close(
            correlation[order], torch.eye(4).double(), rtol=0, atol=1e-3
        )


@pytest.mark.parametrize('rank', SHAPES)
def test_pca_gradient(rank):
    """Of a loss that is the same whatever the order and the signs."""
    case = Case('BW', dict(num_pergroup=4, whitening='pca', affine=False))
    gradients = []
    for norm in case.pair():
        x = random_input(SHAPES[rank]).requires_grad_()
        norm(x).pow(4).sum().backward()
        gradients.append(x.grad)
    assert_close(*gradients, 1e-9)


def test_pca_running_covariance():
    case = Case('BW', dict(num_pergroup=4, whitening='pca', running='cov'))
    norm, expected = case.pair()
    for seed in range(3):
        x = random_input(SHAPES['NCHW'], seed)
        norm(x), expected(x)
    assert_close(norm.running_cov, expected.running_cov, 1e-10)
    assert_close(norm.running_mean, expected.running_mean, 1e-10)


@pytest.mark.parametrize('num_features', [1, 3, NUM_FEATURES, 32])
@pytest.mark.parametrize('type', ['SN', 'SW', 'GW', 'BW', 'ItN', 'IW'])
def test_arguments_left_out(type, num_features):
    """Narrow layers take all of their channels, wide ones the default."""
    case = Case(type)
    shape = (3, num_features, 5, 6)
    modes = (True, True, False)
    for results in steps(case, shape, torch.float64, modes):
        assert_same(*results, 1e-9)
