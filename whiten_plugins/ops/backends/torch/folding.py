r"""Folding of weight and bias into the whitening map.

.. math::
    A_n = \mathrm{diag}(\gamma)\, W_n, \qquad b_n = \beta - A_n \hat\mu_n
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from ...layout import affine_channels
from ...spec import Moments, NormSpec
from ...stage import Coefficients, Parameters, Stage, StageInputs


def fold(
    mean: Tensor, W: Tensor, parameters: Parameters, spec: NormSpec
) -> Coefficients:
    """Fold weight and bias in.

    Args:
        mean: what is subtracted, (N or 1, G, c).
        W: the whitening matrix, (N or 1, G, c, c).
        parameters: weight and bias are read.
        spec: the norm.
    """
    A = W
    if parameters.weight is not None:
        weight = affine_channels(parameters.weight, spec).to(W.dtype)
        A = weight.unsqueeze(-1) * W
    b = -(A @ mean.unsqueeze(-1)).squeeze(-1)
    if parameters.bias is not None:
        b = b + affine_channels(parameters.bias, spec).to(W.dtype)
    return Coefficients(A, b, W)


def fold_running(stage: Stage, inputs: StageInputs) -> Coefficients:
    """Fold weight and bias into the running whitening matrix.

    This is :func:`.transform.transform` where ``inputs.batch`` holds that
    matrix: nothing is left to mix or to whiten.
    """
    assert inputs.batch is not None  # the running statistics
    mean, W = inputs.batch
    return fold(mean, W, inputs.parameters, stage.spec)


def fold_running_backward(
    stage: Stage, inputs: StageInputs, dA: Tensor, db: Tensor
) -> tuple[Tensor, StageInputs]:
    """Differentiate :func:`fold_running`, as ``transform_backward`` does."""
    return differentiate(fold_running, stage, inputs, dA, db)


def differentiate(
    function: Callable[[Stage, StageInputs], Coefficients],
    stage: Stage,
    inputs: StageInputs,
    dA: Tensor,
    db: Tensor,
) -> tuple[Tensor, StageInputs]:
    """Run ``function`` once more; return A and gradients by autograd."""
    sample, batch, parameters = inputs
    flat = [*(sample or (None, None)), *(batch or (None, None)), *parameters]
    leaves = [v if v is None else v.detach().requires_grad_() for v in flat]
    with torch.enable_grad():
        A, b, _ = function(stage, _nested(inputs, leaves))
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
    return A.detach(), _nested(inputs, found)


def _nested(like: StageInputs, flat: list[Tensor | None]) -> StageInputs:
    """Nest eight tensors as ``like`` does."""
    return StageInputs(
        Moments(*cast('list[Tensor]', flat[:2])) if like.sample else None,
        Moments(*cast('list[Tensor]', flat[2:4])) if like.batch else None,
        Parameters(*flat[4:]),
    )
