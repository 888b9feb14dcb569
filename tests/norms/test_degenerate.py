"""Input on which the published code crashes or returns NaN."""

import contextlib
import math

import pytest
import torch
from torch import nn

from tests import reference

from .cases import (
    CASES,
    KINDS,
    Case,
    assert_close,
    assert_same,
    copy_state,
    random_input,
    run,
)
from .test_nonfinite import spoiled

FLOATS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def low_precision(norm, dtype):
    """Parameters as mixed precision keeps them: never half."""
    return norm.to(torch.float64 if dtype is torch.float64 else torch.float32)


def assert_finite(results):
    for name, value in results.items():
        assert value.isfinite().all(), name


# ---------------------------------------------------------------- 1x1 maps
ONE_BY_ONE = [case for case in CASES if case.defined_for((12, 8))]


@pytest.mark.parametrize('case', ONE_BY_ONE, ids=str)
@pytest.mark.parametrize('trailing', [(1, 1), (1,), (1, 1, 1)])
def test_one_by_one_maps(case, trailing):
    """in and iw drop out, the other ratios are renormalized."""
    norm, expected = case.pair()
    shape = (12, 8, *trailing)
    grad = random_input(shape, seed=1)
    for seed, training in enumerate((True, True, False)):
        norm.train(training)
        expected.train(training)
        x = random_input(shape, seed)
        actual = run(norm, x, grad)
        assert_finite(actual)
        assert_same(actual, run(expected, x, grad), 1e-9)
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, 1e-10)


LEFT_WITH_LN = [
    Case('SN'),
    Case('SN', dict(hard=True)),
    Case('SN', dict(ratio_groups=2)),
    Case('SN', dict(stats=('in', 'ln'))),
    Case('SyncSN'),
    Case('SW', dict(num_pergroup=4, sw_type=3)),
    Case('SW', dict(num_pergroup=4, sw_type=5)),
    Case('SyncSW', dict(num_pergroup=4, sw_type=5)),
]


@pytest.mark.parametrize('shape', [(1, 8), (1, 8, 1), (1, 8, 1, 1)])
@pytest.mark.parametrize('case', LEFT_WITH_LN, ids=str)
def test_one_sample_of_one_position_is_left_with_ln(case, shape):
    norm, expected = case.pair()
    before = {k: v.clone() for k, v in norm.named_buffers()}
    x, grad = random_input(shape), random_input(shape, 1)
    assert_same(run(norm, x, grad), run(expected, x, grad), 1e-9)
    for name, buffer in before.items():
        if name != 'num_batches_tracked':
            assert_close(norm.get_buffer(name), buffer, 0)


NOTHING_LEFT = [
    Case('SN', dict(stats=('in', 'bn'))),
    Case('SN', dict(stats=('bn',))),
    Case('SyncSN', dict(stats=('bn',))),
    Case('SW', dict(num_pergroup=4)),
    Case('SyncSW', dict(num_pergroup=4)),
    Case('BW', dict(num_pergroup=4)),
    Case('BW', dict(num_pergroup=4, running='cov')),
    Case('SyncBW', dict(num_pergroup=4)),
    Case('ItN', dict(num_pergroup=4)),
    Case('SyncItN', dict(num_pergroup=4)),
]


@pytest.mark.parametrize('shape', [(1, 8), (1, 8, 1), (1, 8, 1, 1)])
@pytest.mark.parametrize('case', NOTHING_LEFT, ids=str)
def test_nothing_left_in_training_is_the_error_of_batch_norm(case, shape):
    """The same kind of ValueError, with the shape in it, as torch's."""
    norm, expected = case.pair()
    with pytest.raises(ValueError, match='more than 1 value') as theirs:
        nn.functional.batch_norm(torch.zeros(shape), None, None, training=True)
    before = {k: v.clone() for k, v in norm.named_buffers()}
    x = random_input(shape)
    with pytest.raises(ValueError) as ours:
        norm(x)
    assert str(list(shape)) in str(theirs.value)
    assert str(list(shape)) in str(ours.value) or str(shape) in str(ours.value)
    for name, buffer in before.items():
        if name != 'num_batches_tracked':  # as torch's, it counts the call
            assert torch.equal(norm.get_buffer(name), buffer), name
    # in evaluation there are the running statistics
    assert_close(norm.eval()(x), expected.eval()(x), 1e-10)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize(
    'case',
    [
        Case('IW', dict(num_pergroup=4)),
        Case('SN', dict(stats=('in',))),
        Case('GW'),
    ],
    ids=str,
)
def test_no_spatial_statistic_at_one_by_one(case, training):
    norm = case.norm().train(training)
    with pytest.raises(ValueError, match=r'12, 8, 1, 1'):
        norm(torch.randn(12, 8, 1, 1))


# ----------------------------------------------------------- constant input
@pytest.mark.parametrize('value', [0.0, -1234.567])
@pytest.mark.parametrize('dtype', FLOATS, ids=str)
@pytest.mark.parametrize('case', CASES, ids=str)
def test_constant_input_gives_the_bias(case, dtype, value):
    norm, _ = case.pair()
    norm = low_precision(norm, dtype)
    x = torch.full((3, 8, 4, 5), value, dtype=dtype)
    results = run(norm, x, random_input(x.shape, 1).to(dtype))
    assert_finite(results)
    scale, bias = torch.ones(8), torch.zeros(8)
    if norm.weight is not None:
        scale, bias = norm.weight.detach(), norm.bias.detach()
    bias = bias.view(1, 8, 1, 1).expand(3, 8, 4, 5)
    # a few roundings of the mean, divided by the square root of eps
    rounding = 4 * torch.finfo(bias.dtype).eps * abs(value) / norm.eps**0.5
    rounding *= scale.abs().max().item()
    assert_close(results['output'], bias, 1e-6 + rounding, scale=1.0)


@pytest.mark.parametrize('case', CASES, ids=str)
def test_channels_of_different_constants(case):
    """As after a dead convolution; ln alone sees their differences."""
    norm, expected = case.pair()
    x = torch.linspace(-2, 2, 8).view(1, 8, 1, 1).repeat(3, 1, 4, 5)
    grad = random_input(x.shape, 1)
    results = run(norm.float(), x, grad.float())
    assert_finite(results)
    wanted = expected(x.double())
    assert_close(results['output'], wanted.detach(), 1e-3, scale=1.0)


@pytest.mark.parametrize('dtype', FLOATS, ids=str)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_dead_channel(case, dtype):
    norm, _ = case.pair()
    x = random_input((3, 8, 4, 5)).to(dtype)
    x[:, 3] = 0
    norm = low_precision(norm, dtype)
    assert_finite(run(norm, x, random_input(x.shape, 1).to(dtype)))


@pytest.mark.parametrize('dtype', FLOATS, ids=str)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_equal_channels(case, dtype):
    """A singular covariance: of rank one in every group."""
    norm, _ = case.pair()
    x = random_input((3, 1, 4, 5)).to(dtype).repeat(1, 8, 1, 1)
    norm = low_precision(norm, dtype)
    assert_finite(run(norm, x, random_input(x.shape, 1).to(dtype)))


# -------------------------------------------------------------- empty batch
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('trailing', [(), (5,), (4, 5), (2, 3, 4), (1, 1)])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_empty_batch(case, trailing, training):
    norm, _ = case.pair()
    norm.train(training)
    before = {k: v.clone() for k, v in norm.named_buffers()}
    x = torch.zeros(0, 8, *trailing).double()
    results = run(norm, x, torch.zeros_like(x))
    assert results['output'].shape == results['input'].shape == x.shape
    for name, parameter in norm.named_parameters():
        assert results[name].abs().sum() == 0, name
        assert parameter.grad is None or parameter.grad.isfinite().all()
    for name, buffer in before.items():
        if name != 'num_batches_tracked':
            assert torch.equal(norm.get_buffer(name), buffer), name


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_empty_maps(case):
    norm, _ = case.pair()
    before = {k: v.clone() for k, v in norm.named_buffers()}
    assert norm(torch.zeros(2, 8, 0, 4).double()).shape == (2, 8, 0, 4)
    for name, buffer in before.items():
        if name != 'num_batches_tracked':
            assert torch.equal(norm.get_buffer(name), buffer), name


# ------------------------------------------------------------ large and fp16
@pytest.mark.parametrize('offset', [0.0, 3e4])
@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('case', CASES, ids=str)
def test_large_values_in_half_precision(case, channels_last, offset):
    """|x| up to 6e4: squares overflow float16, sums of x alike."""
    x = random_input((3, 8, 9, 10)).tanh() * (6e4 - offset) + offset
    x = x.half()
    assert x.abs().max() > 5e4
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    norm, expected = case.pair()
    grad = random_input(x.shape, 1).half()
    results = run(norm.float(), x, grad)
    assert_finite(results)
    wanted = run(expected, x.double(), grad.double())
    assert_close(results['output'], wanted['output'], 1e-4)


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_small_values_in_half_precision(case):
    """Below float16's normal numbers, eps has the last word."""
    x = (random_input((3, 8, 9, 10)) * 1e-6).half()
    norm, expected = case.pair()
    grad = random_input(x.shape, 1).half() * 1e-3
    results = run(norm.float(), x, grad)
    assert_finite(results)
    wanted = run(expected, x.double(), grad.double())
    assert_close(results['output'], wanted['output'], 1e-5)


# --------------------------------------------------------------- wide scales
ZCA = [
    Case('BW', dict(num_pergroup=4)),
    Case('BW', dict(num_pergroup=4, running='cov')),
    Case('SW', dict(num_pergroup=4, whitening='zca')),
    Case('SW', dict(num_pergroup=4, sw_type=5, whitening='zca')),
    Case('IW', dict(num_pergroup=4, whitening='zca')),
    Case('GW', dict(num_groups=4, whitening='zca')),
]


@pytest.mark.parametrize('exponents', [(-1, 3), (0, 3), (-3, 1), (2, 4)])
@pytest.mark.parametrize('case', ZCA, ids=str)
def test_channels_of_widely_different_scales(case, exponents):
    """Standard deviations from 0.1 to 1000, and the like, in one group."""
    scale = torch.logspace(*exponents, 8, dtype=torch.float64)
    x = (random_input((6, 8, 9, 10)) * scale.view(1, 8, 1, 1)).float()
    grad = random_input(x.shape, 1).float()
    norm, expected = case.pair()
    norm.float()
    for training in (True, False):
        actual = run(norm.train(training), x, grad)
        wanted = run(expected.train(training), x.double(), grad.double())
        assert_close(actual['output'], wanted['output'], 1e-4)
        for c in range(8):  # each channel has gradients of its own scale
            assert_close(
                actual['input'][:, c], wanted['input'][:, c], 1e-3, 1e-2
            )


# ----------------------------------------------------------- many iterations
def newton_of_eigenvalues(S, T):
    """ItN eq. 7 on each eigenvalue, where it cannot multiply rounding."""
    eigenvalues, D = torch.linalg.eigh(S)
    trace = eigenvalues.sum(-1, keepdim=True)
    s, p = eigenvalues / trace, torch.ones_like(eigenvalues)
    for _ in range(T):
        p = (3 * p - p**3 * s) / 2
    return (D * (p / trace.sqrt()).unsqueeze(-2)) @ D.mT


ITERATED = [
    Case('ItN', dict(num_pergroup=64)),
    Case('ItN', dict(num_pergroup=64, running='cov')),
    Case('SW', dict(num_pergroup=16)),
    Case('GW', dict(num_groups=16)),
    Case('IW', dict(num_pergroup=16)),
]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize('T', [1, 5, 9, 11, 15, 20])
@pytest.mark.parametrize('case', ITERATED, ids=str)
def test_many_iterations(case, T, dtype, monkeypatch):
    """64 equal channels, correlated ones, and pooled 1x1 maps."""
    monkeypatch.setattr(reference, 'newton', newton_of_eigenvalues)
    equal = random_input((4, 1, 5, 6)).repeat(1, 64, 1, 1)
    inputs = [equal, random_input((4, 64, 9, 10))]
    if case.type in ('ItN', 'SW'):
        inputs.append(random_input((12, 64, 1, 1)))
    for x in inputs:
        norm, expected = case.pair(64, T=T, eps=1e-3)
        norm.to(dtype)
        x = x.to(dtype)
        with torch.no_grad():
            wanted = expected(x.double())
        tolerance = 1e-9 if dtype is torch.float64 else 2e-3
        results = run(norm, x, random_input(x.shape, 1).to(dtype))
        assert_close(results['output'], wanted, tolerance)
        in_double = run(
            norm.double(), x.double(), random_input(x.shape, 1).to(dtype)
        )
        assert_same(results, in_double, tolerance)


# --------------------------------------------------------------- other dtypes
@pytest.mark.parametrize(
    'dtype, remedy',
    [
        (torch.uint8, r'x\.float\(\)'),
        (torch.int64, r'x\.float\(\)'),
        (torch.bool, r'x\.float\(\)'),
        (torch.complex64, r'x\.real'),
    ],
    ids=str,
)
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_input_that_is_not_of_a_floating_dtype(case, training, dtype, remedy):
    norm = case.norm().train(training)
    x = torch.ones(2, 8, 4, 5).to(dtype)
    with pytest.raises(TypeError, match=f'got {dtype}.*{remedy}'):
        norm(x)


# -------------------------------------------------------------- half norms
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_norm_in_half_precision(case, dtype):
    """As after model.half(): variances near float16's largest number."""
    norm, expected = case.pair()
    norm.to(dtype)
    copy_state(norm.double(), expected)
    norm.to(dtype)
    for seed in range(3):
        x = (random_input((3, 8, 9, 10), seed) * 240).to(dtype)
        norm(x), expected(x.double())
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, 2e-2)
    x = (random_input((3, 8, 9, 10), 7) * 240).to(dtype)
    y, wanted = norm.eval()(x), expected.eval()(x.double())
    assert y.isfinite().all()
    assert_close(y, wanted.detach(), 5e-2)


# ------------------------------------------------------- cumulative averages
@pytest.mark.parametrize('case', [c for c in KINDS if c.type != 'GW'], ids=str)
def test_batches_without_statistics_do_not_count(case):
    """Empty, not finite, or of one pixel: the average is of the others."""
    norm, expected = case.pair(momentum=None)
    if not norm.spec.uses_batch:
        pytest.skip('no running statistics')
    one_pixel = torch.ones(1, 8, 1, 1).double()
    for seed in range(3):
        x = random_input((3, 8, 4, 5), seed)
        norm(x), expected(x)
        norm(x[:0])
        norm(spoiled(math.nan))
        with contextlib.suppress(ValueError):
            norm(one_pixel)
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, 1e-10)
