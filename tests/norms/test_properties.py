"""What must hold for any shape, grouping, dtype and memory format."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.reference import BiasedBatchNorm2d
from whiten_plugins import norms

from .cases import (
    KINDS,
    Case,
    assert_close,
    assert_same,
    random_input,
    randomize,
    run,
)

seeds = st.integers(0, 2**16)
group_sizes = st.integers(1, 5)
group_counts = st.integers(1, 4)
batch_sizes = st.integers(1, 4)
# Enough positions for a full-rank covariance of five channels in one sample.
positions = st.sampled_from([(40,), (6, 7), (3, 4, 5)])
memory_formats = st.sampled_from(['contiguous', 'channels_last', 'sliced'])
precisions = st.sampled_from([(torch.float64, 1e-9), (torch.float32, 2e-4)])


def laid_out(x, memory_format):
    """The same values in another memory format."""
    if memory_format == 'channels_last':
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if memory_format == 'sliced':
        wide = torch.zeros(*x.shape[:-1], 2 * x.shape[-1], dtype=x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return x.contiguous()


@st.composite
def grouped_inputs(draw):
    """An input, its channels per group, its groups, and a tolerance."""
    c, groups = draw(group_sizes), draw(group_counts)
    shape = (draw(batch_sizes), c * groups, *draw(positions))
    dtype, tolerance = draw(precisions)
    x = random_input(shape, draw(seeds)).to(dtype)
    return laid_out(x, draw(memory_formats)), c, groups, tolerance


def plain(build, *args, dtype, **kwargs):
    """A norm without affine map, and with next to no eps."""
    eps = 1e-12 if dtype is torch.float64 else 1e-7
    return build(*args, affine=False, eps=eps, **kwargs).to(dtype)


def assert_white(rows, tolerance):
    """The rows of (..., c, M) have zero mean and identity covariance."""
    mean = rows.mean(-1)
    cov = rows @ rows.mT / rows.shape[-1]
    identity = torch.eye(rows.shape[-2], dtype=rows.dtype).expand_as(cov)
    zero = torch.zeros_like(mean)
    torch.testing.assert_close(mean, zero, rtol=0, atol=tolerance)
    torch.testing.assert_close(cov, identity, rtol=0, atol=tolerance)


# ------------------------------------------------------- identity covariance
@given(grouped_inputs())
def test_instance_whitening_whitens_every_sample(inputs):
    x, c, groups, tolerance = inputs
    norm = plain(
        norms.IW,
        c * groups,
        num_pergroup=c,
        whitening='zca',
        dtype=x.dtype,
    )
    y = norm(x).reshape(len(x), groups, c, -1)
    assert_white(y, tolerance)


@pytest.mark.parametrize('whitening', ['zca', 'pca'])
@given(inputs=grouped_inputs())
def test_batch_whitening_whitens_the_batch(whitening, inputs):
    x, c, groups, tolerance = inputs
    norm = plain(
        norms.BW,
        c * groups,
        num_pergroup=c,
        whitening=whitening,
        dtype=x.dtype,
    )
    y = norm(x).reshape(len(x), groups, c, -1).movedim(0, 2).flatten(2)
    assert_white(y, tolerance)


@given(grouped_inputs())
def test_group_whitening_whitens_the_groups_of_a_sample(inputs):
    x, c, groups, tolerance = inputs
    norm = plain(
        norms.GW,
        c * groups,
        num_groups=groups,
        whitening='zca',
        dtype=x.dtype,
    )
    assert_white(norm(x).reshape(len(x), groups, -1), tolerance)


@pytest.mark.parametrize('kind', ['IW', 'BW', 'GW'])
@given(inputs=grouped_inputs())
def test_newton_whitens_in_the_limit(kind, inputs):
    x, c, groups, _ = inputs
    x = x.double()
    groups_are = (
        {'num_groups': groups} if kind == 'GW' else {'num_pergroup': c}
    )
    build = getattr(norms, kind)
    few, many, exact = (
        plain(build, c * groups, dtype=x.dtype, **groups_are, **method)(x)
        for method in (
            dict(whitening='itn', T=4),
            dict(whitening='itn', T=12),
            dict(whitening='zca'),
        )
    )
    assert_close(many, exact, 1e-5)
    assert (many - exact).norm() <= (few - exact).norm() + 1e-9


# ------------------------------------------------------ reduction identities
def set_logits(norm, mean, var):
    with torch.no_grad():
        norm.mean_weight.copy_(mean)
        norm.var_weight.copy_(var)


def assert_equal_norms(norm, other, x, steps=(True, True, False)):
    """The same outputs and gradients in training, then in evaluation."""
    for seed, training in enumerate(steps):
        norm.train(training)
        other.train(training)
        grad = random_input(tuple(x.shape), seed).to(x.dtype)
        results, wanted = run(norm, x, grad), run(other, x, grad)
        for name in ('output', 'input', 'weight', 'bias'):
            assert_close(results[name], wanted[name], 1e-9)
        x = x.roll(1, 0) * 1.1


@st.composite
def images(draw):
    """(N, C, H, W) in float64, in any memory format."""
    shape = (
        draw(st.integers(1, 4)),
        draw(st.integers(1, 6)),
        draw(st.integers(2, 6)),
        draw(st.integers(1, 6)),
    )
    x = random_input(shape, draw(seeds))
    return laid_out(x, draw(memory_formats))


def randomized(*modules, seed=0):
    """In float64, with the same random weight and bias in each."""
    for module in modules:
        module.double()
        randomize(module, seed)
        with torch.no_grad():
            module.weight.copy_(modules[0].weight)
            module.bias.copy_(modules[0].bias)
    return modules


@pytest.mark.parametrize('whitening', ['itn', 'zca'])
@given(x=images(), seed=seeds)
def test_sw_of_one_channel_groups_is_sn(whitening, x, seed):
    sn, sw = randomized(
        norms.SN(x.shape[1], stats=('bn', 'in', 'ln')),
        norms.SW(x.shape[1], sw_type=3, num_pergroup=1, whitening=whitening),
    )
    generator = torch.Generator().manual_seed(seed)
    mean, var = torch.randn(2, 3, generator=generator).double()
    set_logits(sn, mean, var)
    set_logits(sw, mean, var)
    assert_equal_norms(sw, sn, x)


@given(x=images(), seed=seeds)
def test_sw_of_all_statistics_and_one_channel_groups_is_sn(x, seed):
    """bw is bn and iw is in: their ratios add up."""
    sn, sw = randomized(
        norms.SN(x.shape[1], stats=('bn', 'in', 'ln')),
        norms.SW(x.shape[1], sw_type=5, num_pergroup=1),
    )
    generator = torch.Generator().manual_seed(seed)
    mean, var = torch.randn(2, 5, generator=generator).double()
    set_logits(sw, mean, var)
    joined = (
        torch.stack(
            [
                logits[[0, 2]].logsumexp(0),
                logits[[1, 3]].logsumexp(0),
                logits[4],
            ]
        )
        for logits in (mean, var)
    )
    set_logits(sn, *joined)
    assert_equal_norms(sw, sn, x)


def hard_sn(num_features, name):
    norm = norms.SN(num_features, hard=True)
    logits = torch.tensor([float(k == name) for k in norm.stats])
    set_logits(norm, logits, logits)
    return norm


TORCH_NORMS = {
    'SN, hard bn': (lambda c: hard_sn(c, 'bn'), BiasedBatchNorm2d),
    'SN, hard in': (
        lambda c: hard_sn(c, 'in'),
        lambda c: nn.InstanceNorm2d(c, affine=True),
    ),
    'SN, hard ln': (
        lambda c: hard_sn(c, 'ln'),
        lambda c: nn.GroupNorm(1, c),
    ),
    'SN, bn alone': (lambda c: norms.SN(c, stats=('bn',)), BiasedBatchNorm2d),
    'SN, in alone': (
        lambda c: norms.SN(c, stats=('in',)),
        lambda c: nn.InstanceNorm2d(c, affine=True),
    ),
    'SN, ln alone': (
        lambda c: norms.SN(c, stats=('ln',)),
        lambda c: nn.GroupNorm(1, c),
    ),
    'BW of one-channel groups': (
        lambda c: norms.BW(c, num_pergroup=1, running='cov'),
        BiasedBatchNorm2d,
    ),
    'ItN of one-channel groups': (
        lambda c: norms.ItN(c, num_pergroup=1, running='cov'),
        BiasedBatchNorm2d,
    ),
    'IW of one-channel groups': (
        lambda c: norms.IW(c, num_pergroup=1),
        lambda c: nn.InstanceNorm2d(c, affine=True),
    ),
    'IW of one-channel groups, zca': (
        lambda c: norms.IW(c, num_pergroup=1, whitening='zca'),
        lambda c: nn.InstanceNorm2d(c, affine=True),
    ),
    'GW of one group': (
        lambda c: norms.GW(c, num_groups=1),
        lambda c: nn.GroupNorm(1, c),
    ),
    'GW of one group, zca': (
        lambda c: norms.GW(c, num_groups=1, whitening='zca'),
        lambda c: nn.GroupNorm(1, c),
    ),
}


@pytest.mark.parametrize('name', TORCH_NORMS)
@given(x=images())
def test_reduces_to_the_norm_of_torch(name, x):
    build, build_torch = TORCH_NORMS[name]
    pair = build(x.shape[1]), build_torch(x.shape[1])
    for norm in pair:
        norm.double()
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(0.5, 2, x.shape[1]))
            norm.bias.copy_(torch.linspace(-1, 1, x.shape[1]))
    assert_equal_norms(*pair, x)


def test_gw_of_one_group_is_layer_norm_over_the_sample():
    x = random_input((3, 8, 4, 5))
    y = norms.GW(8, num_groups=1, affine=False).double()(x)
    expected = nn.functional.layer_norm(x, x.shape[1:])
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------- invariance
@pytest.mark.parametrize('case', KINDS, ids=str)
@given(seed=seeds, order=st.permutations(range(4)))
def test_order_of_the_samples_does_not_matter(case, seed, order):
    x = random_input((4, 8, 3, 5), seed)
    norm, _ = case.pair()
    other, _ = case.pair()
    assert_close(norm(x)[order], other(x[order]), 1e-9)
    for name, buffer in norm.named_buffers():
        assert_close(buffer, other.get_buffer(name), 1e-9)


@pytest.mark.parametrize('case', KINDS, ids=str)
@given(seed=seeds, copies=st.integers(2, 5))
def test_batch_of_equal_samples(case, seed, copies):
    """It is normalized as the one sample is, and every copy alike."""
    x = random_input((1, 8, 3, 5), seed)
    norm, _ = case.pair()
    other, _ = case.pair()
    many = norm(x.repeat(copies, 1, 1, 1))
    assert_close(many, other(x).expand_as(many), 1e-9)
    for name, buffer in norm.named_buffers():
        assert_close(buffer, other.get_buffer(name), 1e-9)


PER_SAMPLE = [
    Case('SN', dict(stats=('in', 'ln'))),
    Case('GW', dict(num_groups=4)),
    Case('IW', dict(num_pergroup=4)),
]


@pytest.mark.parametrize('case', PER_SAMPLE, ids=str)
@given(seed=seeds)
def test_samples_do_not_see_one_another(case, seed):
    x = random_input((4, 8, 3, 5), seed)
    norm, _ = case.pair()
    alone = torch.cat([norm(sample) for sample in x.split(1)])
    assert_close(norm(x), alone, 1e-10)


@pytest.mark.parametrize('case', KINDS, ids=str)
@given(seed=seeds, trailing=st.sampled_from([(60,), (3, 20), (3, 4, 5)]))
def test_only_the_number_of_positions_matters(case, seed, trailing):
    x = random_input((2, 8, 60), seed)
    norm, _ = case.pair()
    other, _ = case.pair()
    y = norm(x.view(2, 8, *trailing))
    assert_close(y.flatten(2), other(x), 1e-10)


# ---------------------------------------------------------------- precision
@pytest.mark.parametrize('channels_last', [False, True])
@pytest.mark.parametrize('ratio', [100, 1000])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_mean_far_from_zero(case, ratio, channels_last):
    """float32 keeps its digits where |mean| is many times the deviation.

    Rounding the mean itself costs 3e-8 of it, so 3e-5 deviations at 1000, and
    that times the number of elements in the gradient of the weight.
    """
    tolerance = {100: 1e-3, 1000: 1e-2}[ratio]
    x = random_input((2, 8, 12, 13))
    x = (x - x.mean((0, 2, 3), keepdim=True)) / x.std() + ratio
    x = x.float()
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    grad = random_input(tuple(x.shape), seed=1).float()
    norm, expected = case.pair()
    norm.float()
    for training in (True, False):
        norm.train(training)
        expected.train(training)
        actual = run(norm, x, grad)
        wanted = run(expected, x.double(), grad.double())
        assert_close(actual['output'], wanted['output'], 1e-3)
        assert_same(actual, wanted, tolerance)
    for name, buffer in expected.named_buffers():
        assert_close(norm.get_buffer(name), buffer, 1e-3)


@pytest.mark.parametrize('scale', [1e-3, 1e3, 1e6])
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_scale_of_the_input(case, scale):
    """Nothing overflows or drowns; eps alone breaks the invariance."""
    case = Case(case.type, dict(case.kwargs, eps=1e-5 * scale**2))
    x = random_input((2, 8, 6, 5)) * scale
    norm, expected = case.pair()
    grad = random_input(tuple(x.shape), seed=1)
    actual = run(norm.float(), x.float(), grad.float())
    wanted = run(expected, x.float().double(), grad.float().double())
    for name, value in wanted.items():
        scaled = 1 / scale if name == 'input' else 1
        assert_close(actual[name] / scaled, value / scaled, 1e-4)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('norm', [norms.SW(64, 64), norms.BW(64)], ids=repr)
def test_one_element_a_sample_keeps_no_matrix_for_each(norm, training):
    """What is undefined is not taken: 64 x 64 numbers for every sample."""
    x = torch.randn(300, 64, requires_grad=True)
    kept = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda v: kept.append(v.numel()) or v, lambda v: v
    )
    norm.train()(torch.randn(300, 64))
    with hooks:
        norm.train(training)(x)
    assert sum(kept) < 3 * x.numel()
