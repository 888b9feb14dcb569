r"""Folding of weight and bias into the whitening map.

.. math::
    A_n = \mathrm{diag}(\gamma)\, W_n, \qquad b_n = \beta - A_n \hat\mu_n
"""

from __future__ import annotations

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


def fold_backward(
    mean: Tensor,
    W: Tensor,
    parameters: Parameters,
    spec: NormSpec,
    dA: Tensor,
    db: Tensor,
) -> tuple[Tensor, Moments, Parameters]:
    """Return A once more, and the gradients of mean and W, weight and bias.

    Args:
        mean: as :func:`fold` got it, like those that follow.
        W: see above.
        parameters: see above.
        spec: see above.
        dA: gradient of A, (N or 1, E, c, c); summed to the shape of A.
        db: gradient of b, (N or 1, E, c), likewise.
    """
    A, b, _ = fold(mean, W, parameters, spec)
    dA, db = dA.sum_to_size(A.shape), db.sum_to_size(b.shape)
    # Of layers' statistics, A may be one for all groups where mean is not.
    product = db.sum_to_size(torch.broadcast_shapes(A.shape[:-1], mean.shape))
    d_mean = -(product.unsqueeze(-2) @ A).squeeze(-2)
    outer = product.unsqueeze(-1) * mean.unsqueeze(-2)
    dW = dA - outer.sum_to_size(A.shape)
    d_weight = d_bias = None
    if parameters.weight is not None:
        by_sample = (dW * W).sum(-1)
        d_weight = _channels_gradient(by_sample, parameters.weight, spec)
        weight = affine_channels(parameters.weight, spec).to(W.dtype)
        dW = weight.unsqueeze(-1) * dW
    if parameters.bias is not None:
        d_bias = _channels_gradient(db, parameters.bias, spec)
    moments = Moments(d_mean.sum_to_size(mean.shape), dW.sum_to_size(W.shape))
    return A, moments, Parameters(d_weight, d_bias, None, None)


def _channels_gradient(
    gradient: Tensor, parameter: Tensor, spec: NormSpec
) -> Tensor:
    """Return the gradient of per-channel (C,) from (N, E, c)."""
    summed = gradient.sum(0)
    if spec.across_groups:
        summed = summed.t()
    return summed.flatten().to(parameter.dtype)


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
    assert inputs.batch is not None  # the running statistics
    A, d_batch, d_parameters = fold_backward(
        *inputs.batch, inputs.parameters, stage.spec, dA, db
    )
    return A, StageInputs(None, d_batch, d_parameters)
