"""Is the reference itself right? Against torch's own norms and the algebra."""

import pytest
import torch
from torch import nn

from tests import reference

SHAPE = (3, 8, 4, 5)


def random_input(shape=SHAPE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    c = shape[1]
    mixing = torch.randn(c, c, generator=generator, dtype=torch.float64)
    mixing = torch.eye(c) + 0.1 * mixing
    return torch.einsum('dc,nc...->nd...', mixing, x) + 1


def random_covariance(c=6, seed=0):
    x = random_input((1, c, 50), seed)
    return reference.mean_and_covariance(x)[1][0]


def prefer(norm, name):
    """Make `name` the only statistic of a hard-ratio norm."""
    chosen = norm.stats.index(name)
    with torch.no_grad():
        norm.mean_weight[..., chosen] = 2
        norm.var_weight[..., chosen] = 2
    return norm.double()


REDUCTIONS = {
    'SN, hard bn': (
        lambda: prefer(reference.SN(8, hard=True), 'bn'),
        lambda: reference.BiasedBatchNorm2d(8),
    ),
    'SN, hard in': (
        lambda: prefer(reference.SN(8, hard=True), 'in'),
        lambda: nn.InstanceNorm2d(8, affine=True),
    ),
    'SN, hard ln': (
        lambda: prefer(reference.SN(8, hard=True), 'ln'),
        lambda: nn.GroupNorm(1, 8),
    ),
    'SW, hard bn': (
        lambda: prefer(
            reference.SW(8, sw_type=5, num_pergroup=4, T=15, hard=True), 'bn'
        ),
        lambda: reference.BiasedBatchNorm2d(8),
    ),
    'SW, hard in': (
        lambda: prefer(
            reference.SW(
                8, sw_type=5, num_pergroup=4, whitening='zca', hard=True
            ),
            'in',
        ),
        lambda: nn.InstanceNorm2d(8, affine=True),
    ),
    'SW, hard ln': (
        lambda: prefer(
            reference.SW(8, sw_type=3, num_pergroup=4, T=15, hard=True), 'ln'
        ),
        lambda: nn.GroupNorm(1, 8),
    ),
    'BW, one-channel groups': (
        lambda: reference.BW(8, num_pergroup=1, running='cov'),
        lambda: reference.BiasedBatchNorm2d(8),
    ),
    'ItN, one-channel groups': (
        lambda: reference.ItN(8, num_pergroup=1, running='cov'),
        lambda: reference.BiasedBatchNorm2d(8),
    ),
    'IW, one-channel groups': (
        lambda: reference.IW(8, num_pergroup=1),
        lambda: nn.InstanceNorm2d(8, affine=True),
    ),
    'GW, one group': (
        lambda: reference.GW(8, num_groups=1),
        lambda: nn.GroupNorm(1, 8),
    ),
}


@pytest.mark.parametrize('name', REDUCTIONS)
def test_reduces_to_the_norm_of_torch(name):
    norm, torch_norm = (build().double() for build in REDUCTIONS[name])
    x = random_input().requires_grad_()
    for training in (True, True, False):
        norm.train(training)
        torch_norm.train(training)
        ours, theirs = norm(x), torch_norm(x)
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
        ours_grad, theirs_grad = (
            torch.autograd.grad((y**3).sum(), x)[0] for y in (ours, theirs)
        )
        torch.testing.assert_close(
            ours_grad, theirs_grad, rtol=1e-8, atol=1e-8
        )


@pytest.mark.parametrize('method', ['zca', 'pca', 'newton'])
def test_whitening_matrix_whitens(method):
    cov = random_covariance()
    function = {
        'zca': reference.zca,
        'pca': reference.pca,
        'newton': lambda cov: reference.newton(cov, 15),
    }[method]
    W = function(cov)
    torch.testing.assert_close(W @ cov @ W.T, torch.eye(6).double())
    if method != 'pca':  # the one symmetric positive root
        torch.testing.assert_close(W, W.T)
        assert torch.linalg.eigvalsh(W).min() > 0


def test_pca_orders_its_axes_and_fixes_their_signs():
    variances = torch.tensor([1.0, 9.0, 4.0]).double()
    W = reference.pca(torch.diag(variances))
    assert W.abs().argmax(1).tolist() == [1, 2, 0]
    rotated = reference.pca(random_covariance())
    assert (rotated[:, 0] > 0).all()


def test_newton_follows_its_equation():
    cov = torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double()
    normed = cov / 3
    P = torch.eye(2).double()
    for _ in range(2):
        P = 0.5 * (3 * P - torch.matrix_power(P, 3) @ normed)
    expected = P / torch.tensor(3.0).double().sqrt()
    torch.testing.assert_close(reference.newton(cov, 2), expected)


def test_zca_gradient_is_that_of_converged_newton():
    weight = torch.randn(6, 6).double()
    gradients = []
    for function in (reference.zca, lambda cov: reference.newton(cov, 15)):
        cov = random_covariance().requires_grad_()
        (function((cov + cov.T) / 2) * weight).sum().backward()
        gradients.append(cov.grad)
    torch.testing.assert_close(*gradients)


def test_covariance_is_the_biased_one():
    x = random_input((1, 4, 30))
    _, cov = reference.mean_and_covariance(x)
    expected = torch.cov(x[0], correction=0)
    torch.testing.assert_close(cov[0], expected)


def test_sn_mixes_means_and_variances_element_by_element():
    norm = reference.SN(4, stats=('bn', 'in', 'ln')).double()
    nn.init.normal_(norm.mean_weight)
    nn.init.normal_(norm.var_weight)
    x = random_input((2, 4, 3))
    y = norm(x)
    w, v = norm.mean_weight.exp(), norm.var_weight.exp()
    for n in range(2):
        for c in range(4):
            sets = (x[:, c], x[n, c], x[n])
            mean = sum(a * s.mean() for a, s in zip(w, sets)) / w.sum()
            var = sum(
                a * ((s - s.mean()) ** 2).mean() for a, s in zip(v, sets)
            )
            expected = (x[n, c] - mean) / (var / v.sum() + 1e-5).sqrt()
            torch.testing.assert_close(y[n, c], expected)


def test_sw_mixes_matrices_sample_by_sample():
    norm = reference.SW(4, num_pergroup=2, sw_type=5, whitening='zca')
    norm = norm.double()
    nn.init.normal_(norm.mean_weight)
    nn.init.normal_(norm.var_weight)
    x = random_input((2, 4, 6))
    y = norm(x)
    w, v = norm.mean_weight.softmax(0), norm.var_weight.softmax(0)
    eye = torch.eye(2).double()
    for n in range(2):
        for rows in (slice(0, 2), slice(2, 4)):
            batch = torch.cat([x[0, rows], x[1, rows]], dim=1)
            one = x[n, rows]
            bw, iw = (torch.cov(s, correction=0) for s in (batch, one))
            ln = x[n].var(unbiased=False)
            covs = (bw, iw, bw * eye, iw * eye, ln * eye)
            means = (batch.mean(1), one.mean(1)) * 2 + (x[n].mean(),)
            mean = sum(a * m for a, m in zip(w, means))
            cov = sum(a * s for a, s in zip(v, covs)) + 1e-5 * eye
            whitened = reference.zca(cov) @ (one - mean[:, None])
            torch.testing.assert_close(y[n, rows], whitened)


def test_gw_rows_are_consecutive_channels():
    norm = reference.GW(6, num_groups=2, whitening='zca', eps=1e-12).double()
    y = norm(random_input((2, 6, 5)))
    for sample in y:
        rows = torch.stack([sample[:3].flatten(), sample[3:].flatten()])
        cov = torch.cov(rows, correction=0)
        torch.testing.assert_close(cov, torch.eye(2).double())


def test_channel_groups_choose_for_themselves():
    norm = reference.SN(8, ratio_groups=2, hard=True).double()
    with torch.no_grad():
        norm.mean_weight.copy_(torch.tensor([[2, 1, 1], [1, 1, 2]]))
        norm.var_weight.copy_(norm.mean_weight)
    x = random_input()
    y = norm(x)
    instance = nn.InstanceNorm2d(8).double()(x)
    batch = nn.BatchNorm2d(8).double()(x)
    torch.testing.assert_close(y[:, :4], instance[:, :4])
    torch.testing.assert_close(y[:, 4:], batch[:, 4:])


def test_one_by_one_maps_drop_the_undefined_statistics():
    x = random_input((4, 8, 1, 1))
    every = reference.SN(8).double()
    rest = reference.SN(8, stats=('ln', 'bn')).double()
    torch.testing.assert_close(every(x), rest(x))
    whitened = reference.SW(8, num_pergroup=2).double()(x)
    batch = reference.ItN(8, num_pergroup=2).double()(x)
    torch.testing.assert_close(whitened, batch)


@pytest.mark.parametrize('build', [reference.BW, reference.SW])
def test_one_value_per_channel_is_an_error(build):
    with pytest.raises(ValueError, match='one value per channel'):
        build(8).double()(random_input((1, 8, 1, 1)))
