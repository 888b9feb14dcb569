r"""From moments to the coefficients of y = A x + b, and back.

.. math::
    A_n = \mathrm{diag}(\gamma)\, \hat\Sigma_n^{-1/2}, \qquad
    b_n = \beta - A_n \hat\mu_n

The matrices here are small. The backward pass runs this stage once more and
lets autograd differentiate it, so that nothing of it has to be kept.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...layout import affine_channels
from ...spec import Moments, NormSpec
from .mixture import mix
from .whitening import whitening_matrix


class Parameters(NamedTuple):
    """What a norm learns; None for what it does not have.

    ``weight`` and ``bias`` are (C,); the ratio logits are (K,) or
    (ratio_groups, K).
    """

    weight: Tensor | None
    bias: Tensor | None
    mean_logits: Tensor | None
    cov_logits: Tensor | None


class Coefficients(NamedTuple):
    """A (N or 1, E, c, c), b (N or 1, E, c) and the whitening matrix W."""

    A: Tensor
    b: Tensor
    W: Tensor


def transform(
    sample: Moments | None,
    batch: Moments | None,
    parameters: Parameters,
    spec: NormSpec,
    active: tuple[str, ...],
    whitened: bool = False,
) -> Coefficients:
    """Mixes the moments, whitens the mixture, folds weight and bias in.

    Args:
        sample: moments of each sample, None where none is needed.
        batch: moments of the batch or the running ones, likewise.
        parameters: weight, bias and ratio logits.
        spec: the norm.
        active: the statistics that are defined for this input.
        whitened: ``batch`` holds a whitening matrix, not a covariance.
    """
    if whitened:
        mean, W = batch
    else:
        mean, cov = mix(
            sample,
            batch,
            parameters.mean_logits,
            parameters.cov_logits,
            spec,
            active,
        )
        W = whitening_matrix(cov, spec)
    A = W
    if parameters.weight is not None:
        weight = affine_channels(parameters.weight, spec).to(W.dtype)
        A = weight.unsqueeze(-1) * W
    b = -(A @ mean.unsqueeze(-1)).squeeze(-1)
    if parameters.bias is not None:
        b = b + affine_channels(parameters.bias, spec).to(W.dtype)
    return Coefficients(A, b, W)


class TransformGradients(NamedTuple):
    """Gradients of what :func:`transform` read; None where it read none."""

    sample: Moments | None
    batch: Moments | None
    parameters: Parameters


def transform_backward(
    dA: Tensor,
    db: Tensor,
    sample: Moments | None,
    batch: Moments | None,
    parameters: Parameters,
    spec: NormSpec,
    active: tuple[str, ...],
    whitened: bool = False,
) -> tuple[Tensor, TransformGradients]:
    """A once more, and the gradients of what :func:`transform` read.

    Args:
        dA: gradient of A, (N, E, c, c); summed to the shape of A.
        db: gradient of b, (N, E, c), likewise.
        others: as :func:`transform` got them.
    """
    inputs = [*(sample or (None, None)), *(batch or (None, None)), *parameters]
    leaves = [v if v is None else v.detach().requires_grad_() for v in inputs]
    with torch.enable_grad():
        A, b, _ = transform(
            Moments(*leaves[:2]) if sample else None,
            Moments(*leaves[2:4]) if batch else None,
            Parameters(*leaves[4:]),
            spec,
            active,
            whitened,
        )
    present = [v for v in leaves if v is not None]
    gradients = iter(
        torch.autograd.grad(
            (A, b),
            present,
            (dA.sum_to_size(A.shape), db.sum_to_size(b.shape)),
            allow_unused=True,
        )
    )
    found = []
    for leaf in leaves:
        gradient = next(gradients) if leaf is not None else None
        if leaf is not None and gradient is None:
            gradient = torch.zeros_like(leaf)
        found.append(gradient)
    return A.detach(), TransformGradients(
        Moments(*found[:2]) if sample else None,
        Moments(*found[2:4]) if batch else None,
        Parameters(*found[4:]),
    )
