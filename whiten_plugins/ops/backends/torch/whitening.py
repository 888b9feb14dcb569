r"""Whitening matrices: W with W S W^T = I for a batch of covariances S.

=========  =====================================  =====================
method     W                                      source
=========  =====================================  =====================
``itn``    S^(-1/2) by T Newton iterations        ItN eq. 4, 5, 7
``zca``    S^(-1/2) = D L^(-1/2) D^T              DBN eq. 4
``pca``    L^(-1/2) D^T                           DBN section 3.1
=========  =====================================  =====================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ...spec import NormSpec


def diagonal(S: Tensor) -> Tensor:
    r"""Return the diagonals (\*, c) of matrices (\*, c, c)."""
    if torch.onnx.is_in_onnx_export():  # has it since opset 13 only
        return (S * torch.eye(S.shape[-1], dtype=S.dtype)).sum(-1)
    return S.diagonal(dim1=-2, dim2=-1)


def newton_schulz(S: Tensor, T: int) -> Tensor:
    r"""Approximate :math:`S^{-1/2}` by T Newton iterations (ItN eq. 7).

    .. math::
        P_0 = I, \quad P_{k+1} = \frac12 (3 P_k - P_k^3 S / \mathrm{tr} S),
        \quad W = P_T / \sqrt{\mathrm{tr} S}

    in the coupled form, which has the same iterates in exact arithmetic:

    .. math::
        Y_0 = S / \mathrm{tr} S, \; Z_0 = I, \;
        R_k = \tfrac12 (3 I - Z_k Y_k), \;
        Y_{k+1} = Y_k R_k, \; Z_{k+1} = R_k Z_k = P_{k+1}

    ItN's own form multiplies rounding errors once an eigenvalue has
    converged: to 1e4 and more from T = 9 on in float32. The coupled form is
    stable for any T (Higham, Functions of Matrices, section 6.4).

    Args:
        S: (B, c, c), symmetric and positive definite.
        T: number of iterations, at least 1.
    """
    trace = diagonal(S).sum(-1)[..., None, None]
    return coupled_newton(S / trace, T) * trace.rsqrt()


def coupled_newton(Y: Tensor, T: int) -> Tensor:
    """Return :math:`Z_T` of :func:`newton_schulz` from :math:`Y_0`."""
    half_of_3 = 1.5 * torch.eye(Y.shape[-1], dtype=Y.dtype, device=Y.device)
    Z = R = half_of_3 - 0.5 * Y
    for _ in range(T - 1):
        Y = Y @ R
        R = half_of_3 - 0.5 * (Z @ Y)
        Z = R @ Z
    return Z


def eigenvectors(S: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return eigenvalues, at least eps, and eigenvectors, in float64.

    In float32 the small eigenvalues of channels whose scales differ widely
    would be rounding of the large ones, though the covariances themselves
    are good enough.
    """
    eigenvalues, D = torch.linalg.eigh(S.double())
    return eigenvalues.clamp(min=eps), D


def _finite_eigenvectors(S: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors, as :func:`eigenvectors`.

    The eigenvalues are NaN where S is not finite, which LAPACK would
    refuse.
    """
    finite = S.isfinite().all(-1).all(-1)
    eye = torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
    S = torch.where(finite[..., None, None], S, eye)
    eigenvalues, D = eigenvectors(S, eps)
    return torch.where(finite[..., None], eigenvalues, torch.nan), D


class Inverse(NamedTuple):
    """Whitening matrices W of covariances, and what their gradient needs."""

    W: Tensor
    kept: tuple[Tensor, ...]


def _newton(S: Tensor, spec: NormSpec) -> Inverse:
    """As :func:`newton_schulz`, with every step kept."""
    trace = diagonal(S).sum(-1)[..., None, None]
    half_of_3 = 1.5 * torch.eye(S.shape[-1], dtype=S.dtype, device=S.device)
    Y = S / trace
    Z = R = half_of_3 - 0.5 * Y
    steps = [Y, R]
    for _ in range(spec.T - 1):
        Y = Y @ R
        R = half_of_3 - 0.5 * (Z @ Y)
        steps += Y, R, Z
        Z = R @ Z
    return Inverse(Z * trace.rsqrt(), (trace, Z, *steps))


def _newton_backward(inverse: Inverse, grad: Tensor, spec: NormSpec) -> Tensor:
    """Return the gradient of S from that of W.

    All steps are symmetric but for rounding, which would be multiplied if
    they were taken for it.
    """
    trace, Z, Y_0, R_0, *steps = inverse.kept
    scale = trace.rsqrt()
    d_trace = -0.5 * scale * (grad * Z).sum((-1, -2), keepdim=True)
    dZ, dY = scale * grad, torch.zeros_like(grad)
    for k in range(len(steps) - 3, -1, -3):
        Y, R, Z = (v.mT for v in steps[k : k + 3])
        dR = torch.baddbmm(dZ @ Z, Y, dY)
        dZ = torch.baddbmm(R @ dZ, dR, Y, alpha=-0.5)
        dY = torch.baddbmm(dY @ R, Z, dR, alpha=-0.5)
    dR = torch.baddbmm(dZ, Y_0.mT, dY)
    dY = torch.baddbmm(dR, dY, R_0.mT, beta=-0.5)
    d_trace = d_trace - (dY * Y_0).sum((-1, -2), keepdim=True)
    eye = torch.eye(grad.shape[-1], dtype=grad.dtype, device=grad.device)
    return (dY + d_trace * eye) / trace


def _zca(S: Tensor, spec: NormSpec) -> Inverse:
    """W = D L^(-1/2) D^T."""
    eigenvalues, D = _finite_eigenvectors(S, spec.eps)
    s = eigenvalues.sqrt()
    return Inverse(((D / s.unsqueeze(-2)) @ D.mT).to(S.dtype), (s, D))


def _zca_backward(inverse: Inverse, grad: Tensor, spec: NormSpec) -> Tensor:
    r"""Differentiate zca without eigenvalue gaps.

    With :math:`K_{ij} = -1 / (s_i s_j (s_i + s_j))`, :math:`s = \sqrt l`,
    the divided differences of l^(-1/2): dS = D [K * (D^T dW D)] D^T. Unlike
    DBN eq. 5 it stays exact where eigenvalues are equal.
    """
    s, D = inverse.kept
    rows, columns = s.unsqueeze(-1), s.unsqueeze(-2)
    K = -1 / (rows * columns * (rows + columns))
    inner = D.mT @ (grad + grad.mT).double() @ D
    return (D @ (0.5 * K * inner) @ D.mT).to(grad.dtype)


def _pca(S: Tensor, spec: NormSpec) -> Inverse:
    """W = L^(-1/2) D^T.

    Made unique as DBN section 3.1 does: eigenvalues in non-increasing order,
    the first element of each eigenvector positive.
    """
    eigenvalues, D = (v.flip(-1) for v in _finite_eigenvectors(S, spec.eps))
    D = torch.where(D[..., :1, :] < 0, -D, D)
    # Gaps below the rounding of S are not gaps.
    rounding = torch.finfo(S.dtype).eps * eigenvalues.amax(-1)
    W = (D.mT * eigenvalues.rsqrt().unsqueeze(-1)).to(S.dtype)
    return Inverse(W, (eigenvalues, D, rounding))


def _pca_backward(inverse: Inverse, grad: Tensor, spec: NormSpec) -> Tensor:
    """Differentiate pca through DBN eq. 5.

    It divides by the gaps between eigenvalues; where a gap is below rounding
    it is left out, so the gradient stays finite.
    """
    eigenvalues, D, rounding = inverse.kept
    dtype, grad = grad.dtype, grad.double()
    scale = eigenvalues.rsqrt().unsqueeze(-1)
    gaps = eigenvalues.unsqueeze(-2) - eigenvalues.unsqueeze(-1)
    distinct = gaps.abs() > rounding[..., None, None]
    K = torch.where(distinct, gaps, torch.inf).reciprocal()
    d_vectors = (grad * scale).mT
    d_values = -0.5 * (grad * D.mT).sum(-1) * scale.squeeze(-1) ** 3
    inner = K * (D.mT @ d_vectors) + torch.diag_embed(d_values)
    dS = D @ inner @ D.mT
    return (0.5 * (dS + dS.mT)).to(dtype)


class _Method(NamedTuple):
    forward: Callable[[Tensor, NormSpec], Inverse]
    backward: Callable[[Inverse, Tensor, NormSpec], Tensor]


_METHODS = {
    'itn': _Method(_newton, _newton_backward),
    'zca': _Method(_zca, _zca_backward),
    'pca': _Method(_pca, _pca_backward),
}
METHODS = tuple(_METHODS)


def invert(S: Tensor, spec: NormSpec) -> Inverse:
    """Whiten by the method of ``spec``; keep what the gradient needs.

    Args:
        S: covariances, (N, G, c, c).
        spec: the norm.
    """
    if S.shape[-1] == 1:
        return Inverse(S.rsqrt(), (S,))
    W, kept = _METHODS[spec.whitening].forward(S.flatten(0, 1), spec)
    return Inverse(W.view_as(S), kept)


def invert_backward(inverse: Inverse, grad: Tensor, spec: NormSpec) -> Tensor:
    """Return the gradient of S, (N, G, c, c), from that of W."""
    if grad.shape[-1] == 1:
        return -0.5 * grad * inverse.W / inverse.kept[0]
    flat = grad.flatten(0, 1)
    dS = _METHODS[spec.whitening].backward(inverse, flat, spec)
    return dS.view_as(grad)


class _Whitening(Function):
    """:func:`invert` for autograd."""

    @staticmethod
    def forward(ctx, S: Tensor, spec: NormSpec) -> Tensor:
        W, kept = invert(S, spec)
        ctx.spec = spec
        ctx.save_for_backward(W, *kept)
        return W

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        W, *kept = ctx.saved_tensors
        inverse = Inverse(W, tuple(kept))
        return invert_backward(inverse, grad, ctx.spec), None


def whitening_matrix(S: Tensor, spec: NormSpec) -> Tensor:
    """Compute whitening matrices by the method of ``spec``.

    S are covariances (N, G, c, c).
    """
    if S.shape[-1] == 1:
        return S.rsqrt()
    if spec.whitening == 'itn':
        return newton_schulz(S.flatten(0, 1), spec.T).view_as(S)
    return _Whitening.apply(S, spec)
