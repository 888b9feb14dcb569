"""From moments to the coefficients of y = A x + b, and back, on the GPU.

One launch forward and one backward (a second where ``ln`` couples the groups
of a sample), and a sum over samples of the gradients that they share. The
backward recomputes the forward. What the kernels do not take goes to
PyTorch, see :func:`serves`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...spec import Moments
from ...stage import Coefficients, Parameters, Stage, StageInputs
from ..torch import transform as pytorch
from .kernels.matrix_transform import (
    add_layer_gradients,
    matrix_backward,
    matrix_forward,
)
from .kernels.scalar_transform import scalar_backward, scalar_forward
from .tuning import (
    CHANNELS,
    MAX_SLOTS,
    MAX_STAGE_ROWS,
    launch,
    padded,
    stage_warps,
)


def serves(stage: Stage) -> bool:
    """Return whether the kernels take this stage.

    They take one-row groups, and Newton's iteration of up to 64 rows of up
    to 64 channel slots. Eigendecompositions (``zca``, ``pca``) and wider
    groups are PyTorch's.
    """
    if stage.rows == 1:
        return stage.slots == 1
    return (
        stage.spec.whitening == 'itn'
        and stage.rows <= MAX_STAGE_ROWS
        and stage.slots <= MAX_SLOTS
    )


def _contiguous(inputs: StageInputs) -> list[Tensor | None]:
    """Return moments of samples and batch, and the parameters.

    All of them are contiguous.
    """
    nothing = (None, None)
    sample, batch, parameters = inputs
    tensors = (*(sample or nothing), *(batch or nothing), *parameters)
    return [v if v is None else v.contiguous() for v in tensors]


def _options(stage: Stage) -> dict[str, int]:
    """Return where the kernels find each statistic among the logits."""
    positions = {name.upper(): k for name, k in stage.positions.items()}
    return {**positions, 'HARD': stage.spec.hard}


def transform(stage: Stage, inputs: StageInputs) -> Coefficients:
    """As :func:`..torch.transform.transform`."""
    if not serves(stage):
        return pytorch.transform(stage, inputs)
    samples, groups, rows = stage.samples, stage.groups, stage.rows
    new = inputs.moments.mean.new_empty
    results = Coefficients(
        new(samples, stage.entries, rows, rows),
        new(samples, stage.entries, rows),
        new(samples, groups, rows, rows),
    )
    tensors = (*_contiguous(inputs), *results)
    sizes = (
        groups,
        len(stage.spec.stats),
        groups // stage.ratio_groups,
        stage.spec.eps,
    )
    if rows == 1:
        blocks = -(-groups // CHANNELS)
        launch(
            scalar_forward,
            samples * blocks,
            tensors,
            (*sizes, blocks),
            **_options(stage),
            BLOCK=CHANNELS,
        )
    else:
        width = padded(rows)
        scratch = new(samples, groups, 2, width, width) if width > 32 else None
        launch(
            matrix_forward,
            samples * groups,
            (*tensors, scratch),
            (*sizes, stage.slots),
            **_options(stage),
            T=stage.spec.T,
            ROWS=rows,
            PADDED=width,
            num_warps=stage_warps(rows),
        )
    return results


def transform_backward(
    stage: Stage, inputs: StageInputs, dA: Tensor, db: Tensor
) -> tuple[Tensor, StageInputs]:
    """As :func:`..torch.transform.transform_backward`."""
    if not serves(stage):
        return pytorch.transform_backward(stage, inputs, dA, db)
    sample, batch, parameters = inputs
    # Without weight and bias the slots of a row share A and b.
    shape = (stage.samples, stage.entries)
    dA, db = (v.sum_to_size(*shape, *v.shape[2:]) for v in (dA, db))
    A = torch.empty_like(dA)
    d_sample = None
    if sample:
        d_sample = Moments(*(torch.empty_like(v) for v in sample))
    sizes = _shared_sizes(stage, inputs)
    shared = dA.new_empty(stage.samples, sum(sizes))
    *moments, weight, _, mean_logits, cov_logits = _contiguous(inputs)
    tensors = (
        *(dA.contiguous(), db.contiguous(), *moments),
        *(weight, mean_logits, cov_logits),
        *(A, *(d_sample or (None, None))),
        *(v if v.numel() else None for v in shared.split(sizes, 1)),
    )
    _launch_backward(stage, tensors, shared.shape[1])
    shared = shared[0] if stage.samples == 1 else shared.sum(0)
    d_mean, d_cov, d_weight, d_bias, d_logits = shared.split(sizes)
    d_batch = None
    if batch:
        d_batch = Moments(d_mean.view_as(batch.mean), d_cov.view_as(batch.cov))
    d_parameters = Parameters(
        None if parameters.weight is None else d_weight,
        None if parameters.bias is None else d_bias,
        *_logit_gradients(stage, parameters, d_logits),
    )
    return A, StageInputs(d_sample, d_batch, d_parameters)


def _shared_sizes(stage: Stage, inputs: StageInputs) -> list[int]:
    """Return the sizes of the gradients that samples share.

    These are of the batch mean and covariance, weight and bias, and 16
    numbers for the logits of each group.
    """
    groups, rows = stage.groups, stage.rows
    weight, bias, logits, _ = inputs.parameters
    learned = logits is not None and not stage.spec.hard
    return [
        groups * rows if inputs.batch else 0,
        groups * rows * rows if inputs.batch else 0,
        0 if weight is None else weight.numel(),
        0 if bias is None else bias.numel(),
        groups * 16 if learned else 0,
    ]


def _launch_backward(stage: Stage, tensors: tuple, stride: int) -> None:
    """Run the backward kernels.

    Args:
        stage: the stage.
        tensors: of the kernels, those they write included.
        stride: between the samples of what they share.
    """
    samples, groups, rows = stage.samples, stage.groups, stage.rows
    dA = tensors[0]
    sizes = (
        stride,
        groups,
        len(stage.spec.stats),
        groups // stage.ratio_groups,
        stage.spec.eps,
    )
    options = _options(stage)
    if rows == 1:
        launch(
            scalar_backward,
            samples,
            tensors,
            sizes,
            **options,
            BLOCK=CHANNELS,
        )
        return
    width, T = padded(rows), stage.spec.T
    d_layer = dA.new_empty(samples, groups, 2)
    scratch = dA.new_empty(samples, groups, 3 * T - 1, width, width)
    launch(
        matrix_backward,
        samples * groups,
        (*tensors, d_layer, scratch),
        (*sizes, stage.slots),
        **options,
        T=T,
        ROWS=rows,
        PADDED=width,
        num_warps=stage_warps(rows),
    )
    if 'ln' in stage.active:
        moments, d_moments = tensors[2:4], tensors[10:12]
        launch(
            add_layer_gradients,
            samples,
            (d_layer, *moments, *d_moments),
            (groups,),
            ROWS=rows,
            BLOCK=CHANNELS,
        )


def _logit_gradients(
    stage: Stage, parameters: Parameters, gradients: Tensor
) -> list[Tensor | None]:
    """Sum the gradients of both sets of logits over their groups.

    They are zeros where a hard choice gives none.
    """
    logits = parameters[2:]
    if not gradients.numel():
        return [None if v is None else torch.zeros_like(v) for v in logits]
    summed = gradients.view(stage.ratio_groups, -1, 2, 8).sum(1)
    of_moments = summed[..., : len(stage.spec.stats)].unbind(1)
    return [
        v if v is None else d.view_as(v) for d, v in zip(of_moments, logits)
    ]
