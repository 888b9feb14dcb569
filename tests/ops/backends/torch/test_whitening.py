"""Inverse square roots: what they are, and how they are differentiated."""

import pytest
import torch

from whiten_plugins.ops.backends.torch.whitening import (
    newton_schulz,
    whitening_matrix,
)
from whiten_plugins.ops.spec import NormSpec


def covariances(*eigenvalues):
    """A batch of two covariances with the eigenvalues given."""
    generator = torch.Generator().manual_seed(0)
    size = len(eigenvalues)
    basis = torch.randn(
        2, 1, size, size, generator=generator, dtype=torch.float64
    )
    Q = torch.linalg.qr(basis).Q
    return Q * torch.tensor(eigenvalues, dtype=torch.float64) @ Q.mT


def whiten(method, S, T=5, eps=1e-5):
    spec = NormSpec(('iw',), S.shape[-1], whitening=method, T=T, eps=eps)
    return whitening_matrix(S, spec)


@pytest.mark.parametrize('method', ['zca', 'pca', 'itn'])
def test_whitens_the_covariance(method):
    S = covariances(1.0, 2.0, 3.0)
    W = whiten(method, S, T=12)
    torch.testing.assert_close(W @ S @ W.mT, torch.eye(3).expand_as(S) + 0 * S)


@pytest.mark.parametrize('method', ['zca', 'itn'])
def test_is_symmetric(method):
    W = whiten(method, covariances(0.5, 2.0, 3.0))
    torch.testing.assert_close(W, W.mT)


def test_newton_follows_its_iteration():
    S = covariances(1.0, 2.0, 4.0)[:, 0]
    trace = S.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    P = torch.eye(3, dtype=S.dtype)
    for T in range(1, 6):
        P = (3 * P - P @ P @ P @ S / trace) / 2
        torch.testing.assert_close(newton_schulz(S, T), P / trace.sqrt())


def newton_of_eigenvalues(S, T):
    """ItN eq. 7 on each eigenvalue, where it cannot multiply rounding."""
    eigenvalues, D = torch.linalg.eigh(S)
    trace = eigenvalues.sum(-1, keepdim=True)
    s, p = eigenvalues / trace, torch.ones_like(eigenvalues)
    for _ in range(T):
        p = (3 * p - p**3 * s) / 2
    return (D * (p / trace.sqrt()).unsqueeze(-2)) @ D.mT


@pytest.mark.parametrize('T', range(1, 21))
def test_newton_is_the_equation_for_any_number_of_iterations(T):
    S = covariances(1e-3, 0.5, 1.0, 2.0, 4.0, 40.0)[:, 0]
    expected = newton_of_eigenvalues(S, T)
    torch.testing.assert_close(newton_schulz(S, T), expected)
    S = S.float()
    expected = newton_of_eigenvalues(S.double(), T)
    atol = 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(
        newton_schulz(S, T), expected.float(), rtol=0, atol=atol
    )


@pytest.mark.parametrize('T', [9, 20])
def test_gradient_of_many_iterations_equals_finite_differences(T):
    S = covariances(0.01, 1.0, 2.0, 2.0, 3.0).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda S: whiten('itn', (S + S.mT) / 2, T), (S,)
    )


@pytest.mark.parametrize('method', ['zca', 'pca'])
def test_small_eigenvalues_beside_large_ones(method):
    """Channels whose standard deviations are 0.1, 3 and 1000."""
    scale = torch.tensor([0.1, 3.0, 1000.0], dtype=torch.float64)
    S = covariances(0.5, 1.0, 2.0) * scale * scale[:, None]
    S = S.float()
    torch.testing.assert_close(
        whiten(method, S), whiten(method, S.double()).float()
    )


@pytest.mark.parametrize('method', ['zca', 'pca', 'itn'])
def test_one_channel_is_the_standard_deviation(method):
    S = torch.tensor([4.0, 9.0]).view(2, 1, 1, 1)
    torch.testing.assert_close(whiten(method, S), S.rsqrt())


@pytest.mark.parametrize('eigenvalues', [(1.0, 2.0, 3.0), (2.0, 2.0, 2.0)])
@pytest.mark.parametrize('method', ['zca', 'itn'])
def test_gradient_equals_finite_differences(method, eigenvalues):
    S = covariances(*eigenvalues).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda S: whiten(method, (S + S.mT) / 2), (S,)
    )


def test_gradient_of_pca_equals_finite_differences():
    S = covariances(1.0, 2.0, 4.0).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda S: whiten('pca', (S + S.mT) / 2), (S,)
    )


@pytest.mark.parametrize('method', ['zca', 'pca', 'itn'])
def test_gradient_is_finite_where_eigenvalues_are_equal(method):
    S = torch.eye(4).mul(1e-5).expand(2, 1, 4, 4).clone().requires_grad_()
    whiten(method, S).square().sum().backward()
    assert S.grad.isfinite().all()


def test_rounding_below_eps_is_not_negative():
    S = covariances(-1e-9, 1.0, 1e4).float()
    assert whiten('zca', S, eps=1e-5).isfinite().all()


@pytest.mark.parametrize('method', ['zca', 'pca', 'itn'])
def test_a_bad_covariance_spoils_its_own_matrix_alone(method):
    S = covariances(1.0, 2.0, 3.0)
    bad = S.clone()
    bad[1, 0, 0, 0] = torch.nan
    W = whiten(method, bad)
    torch.testing.assert_close(W[0], whiten(method, S)[0])
    assert W[1].isnan().any()
