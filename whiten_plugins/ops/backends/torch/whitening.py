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


class _ZCA(Function):
    r"""W = D L^(-1/2) D^T, with a gradient that needs no eigenvalue gaps.

    With :math:`K_{ij} = -1 / (s_i s_j (s_i + s_j))`, :math:`s = \sqrt l`,
    the divided differences of l^(-1/2): dS = D [K * (D^T dW D)] D^T. Unlike
    DBN eq. 5 it stays exact where eigenvalues are equal.
    """

    @staticmethod
    def forward(ctx, S: Tensor, eps: float) -> Tensor:
        eigenvalues, D = _finite_eigenvectors(S, eps)
        s = eigenvalues.sqrt()
        ctx.save_for_backward(s, D)
        return ((D / s.unsqueeze(-2)) @ D.mT).to(S.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        s, D = ctx.saved_tensors
        rows, columns = s.unsqueeze(-1), s.unsqueeze(-2)
        K = -1 / (rows * columns * (rows + columns))
        inner = D.mT @ (grad + grad.mT).double() @ D
        return (D @ (0.5 * K * inner) @ D.mT).to(grad.dtype), None


class _PCA(Function):
    r"""W = L^(-1/2) D^T, differentiated through DBN eq. 5.

    Made unique as DBN section 3.1 does: eigenvalues in non-increasing order,
    the first element of each eigenvector positive. The gradient divides by
    the gaps between eigenvalues; where a gap is below rounding it is left
    out, so the gradient stays finite.
    """

    @staticmethod
    def forward(ctx, S: Tensor, eps: float) -> Tensor:
        eigenvalues, D = (v.flip(-1) for v in _finite_eigenvectors(S, eps))
        D = torch.where(D[..., :1, :] < 0, -D, D)
        # Gaps below the rounding of S are not gaps.
        rounding = torch.finfo(S.dtype).eps * eigenvalues.amax(-1)
        ctx.save_for_backward(eigenvalues, D, rounding)
        return (D.mT * eigenvalues.rsqrt().unsqueeze(-1)).to(S.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        eigenvalues, D, rounding = ctx.saved_tensors
        dtype, grad = grad.dtype, grad.double()
        scale = eigenvalues.rsqrt().unsqueeze(-1)
        gaps = eigenvalues.unsqueeze(-2) - eigenvalues.unsqueeze(-1)
        distinct = gaps.abs() > rounding[..., None, None]
        K = torch.where(distinct, gaps, torch.inf).reciprocal()
        d_vectors = (grad * scale).mT
        d_values = -0.5 * (grad * D.mT).sum(-1) * scale.squeeze(-1) ** 3
        inner = K * (D.mT @ d_vectors) + torch.diag_embed(d_values)
        dS = D @ inner @ D.mT
        return (0.5 * (dS + dS.mT)).to(dtype), None


_METHODS: dict[str, Callable[[Tensor, NormSpec], Tensor]] = {
    'itn': lambda S, spec: newton_schulz(S, spec.T),
    'zca': lambda S, spec: _ZCA.apply(S, spec.eps),
    'pca': lambda S, spec: _PCA.apply(S, spec.eps),
}
METHODS = tuple(_METHODS)


def whitening_matrix(S: Tensor, spec: NormSpec) -> Tensor:
    """Compute whitening matrices by the method of ``spec``.

    S are covariances (N, G, c, c).
    """
    if S.shape[-1] == 1:
        return S.rsqrt()
    W = _METHODS[spec.whitening](S.flatten(0, 1), spec)
    return W.view_as(S)
