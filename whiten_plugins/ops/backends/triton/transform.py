"""From moments to the coefficients of y = A x + b, and back, on the GPU.

One launch forward and one backward, which recomputes the forward; another
sums over samples what they share, and adds what follows for the input. What
the kernels do not take goes to PyTorch, see :func:`serves`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...spec import Moments, Running
from ...stage import Coefficients, Parameters, Stage, StageInputs
from ..torch import transform as pytorch
from .kernels.combine import matrix_combine, scalar_combine
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
    return launch_forward(stage, inputs, None)


class Tracking(NamedTuple):
    """Running statistics that a forward updates.

    ``counted`` is an integer on the device, 0 before the forward.
    """

    running: Running
    momentum: float
    counted: Tensor


def launch_forward(
    stage: Stage, inputs: StageInputs, tracking: Tracking | None
) -> Coefficients:
    """Run the forward kernel, with the running statistics if given."""
    samples, groups, rows = stage.samples, stage.groups, stage.rows
    running: tuple[Tensor | None, ...] = (None, None, None, None)
    momentum = 0.0
    if tracking:
        running = (*tracking.running, tracking.counted)
        momentum = float(tracking.momentum)  # 0 and 1 as well
    matrix = stage.spec.running == 'matrix'
    new = inputs.moments.mean.new_empty
    results = Coefficients(
        new(samples, stage.entries, rows, rows),
        new(samples, stage.entries, rows),
        new(samples, groups, rows, rows),
    )
    tensors = (*_contiguous(inputs), *results, *running)
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
            (*sizes, blocks, momentum),
            **_options(stage),
            MATRIX=matrix,
            BLOCK=CHANNELS,
        )
    else:
        width = padded(rows)
        scratch = new(samples, groups, 2, width, width) if width > 32 else None
        launch(
            matrix_forward,
            samples * groups,
            (*tensors, scratch),
            (*sizes, stage.slots, momentum),
            **_options(stage),
            MATRIX=matrix,
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
    dA, db = (
        v.sum_to_size(*shape, *v.shape[2:]).contiguous() for v in (dA, db)
    )
    found = launch_backward(stage, inputs, dA, db, Chunks(1, 0))
    if found.layer is not None:
        assert sample and found.sample  # ln is a statistic of the sample
        launch(
            add_layer_gradients,
            stage.samples,
            (found.layer, *sample, *found.sample),
            (stage.groups,),
            ROWS=stage.rows,
            BLOCK=CHANNELS,
        )
    shared = found.shared
    shared = shared[0] if stage.samples == 1 else shared.sum(0)
    d_mean, d_cov, d_weight, d_bias, d_logits = shared.split(found.sizes)
    d_batch = None
    if batch:
        d_batch = Moments(d_mean.view_as(batch.mean), d_cov.view_as(batch.cov))
    d_parameters = Parameters(
        None if parameters.weight is None else d_weight,
        None if parameters.bias is None else d_bias,
        *_logit_gradients(stage, parameters, d_logits),
    )
    return found.A, StageInputs(found.sample, d_batch, d_parameters)


class Chunks(NamedTuple):
    """In how many chunks, and how far apart, gradients come."""

    number: int
    stride: int


class StageGradients(NamedTuple):
    """What the backward kernel leaves.

    ``shared`` (N, sum of ``sizes``) are gradients that samples share,
    still apart: of the batch's mean and covariance, of weight, bias and
    logits; ``layer`` what reaches a sample's moments through ``ln`` but is
    not in ``sample`` yet.
    """

    A: Tensor
    sample: Moments | None
    shared: Tensor
    sizes: list[int]
    layer: Tensor | None


def launch_backward(
    stage: Stage, inputs: StageInputs, dA: Tensor, db: Tensor, chunks: Chunks
) -> StageGradients:
    """Run the backward kernel.

    Args:
        stage: the stage.
        inputs: as in the forward.
        dA: gradient of A, (N, E, c, c) in its first chunk, contiguous.
        db: gradient of b, (N, E, c), likewise.
        chunks: of both, to be summed.
    """
    samples, groups, rows = stage.samples, stage.groups, stage.rows
    new = inputs.moments.mean.new_empty
    A = new(samples, stage.entries, rows, rows)
    d_sample = None
    if inputs.sample:
        d_sample = Moments(*(torch.empty_like(v) for v in inputs.sample))
    sizes = _shared_sizes(stage, inputs)
    shared = new(samples, sum(sizes))
    *moments, weight, _, mean_logits, cov_logits = _contiguous(inputs)
    tensors = (
        *(dA, db, *moments, weight, mean_logits, cov_logits),
        *(A, *(d_sample or (None, None))),
        *(v if v.numel() else None for v in shared.split(sizes, 1)),
    )
    numbers = (
        shared.shape[1],
        groups,
        len(stage.spec.stats),
        groups // stage.ratio_groups,
        stage.spec.eps,
        *chunks,
    )
    options = _options(stage)
    if rows == 1:
        blocks = -(-groups // CHANNELS)
        launch(
            scalar_backward,
            samples * blocks,
            tensors,
            (*numbers, blocks),
            **options,
            SUMMED=stage.ratio_groups == 1,
            BLOCK=CHANNELS,
        )
        return StageGradients(A, d_sample, shared, sizes, None)
    width, T = padded(rows), stage.spec.T
    layer = new(samples, groups, 2) if 'ln' in stage.active else None
    launch(
        matrix_backward,
        samples * groups,
        (*tensors, layer, new(samples, groups, 3 * T, width, width)),
        (*numbers, stage.slots),
        **options,
        T=T,
        ROWS=rows,
        PADDED=width,
        num_warps=stage_warps(rows),
    )
    return StageGradients(A, d_sample, shared, sizes, layer)


def logit_parts(stage: Stage) -> int:
    """Return how many parts of 16 numbers hold a sample's logit gradients.

    One for each group, but one for a block of one-row groups where all have
    the same logits.
    """
    if stage.rows == 1 and stage.ratio_groups == 1:
        return -(-stage.groups // CHANNELS)
    return stage.groups


def _shared_sizes(stage: Stage, inputs: StageInputs) -> list[int]:
    """Return the sizes of the gradients that samples share."""
    groups, rows = stage.groups, stage.rows
    weight, bias, logits, _ = inputs.parameters
    learned = logits is not None and not stage.spec.hard
    return [
        groups * rows if inputs.batch else 0,
        groups * rows * rows if inputs.batch else 0,
        0 if weight is None else weight.numel(),
        0 if bias is None else bias.numel(),
        16 * logit_parts(stage) if learned else 0,
    ]


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


def launch_combine(
    stage: Stage,
    inputs: StageInputs,
    found: StageGradients,
    counts: tuple[int, int],
) -> tuple[Tensor, Tensor, Parameters]:
    """Run the kernel that leads to the input's gradient.

    Args:
        stage: the stage.
        inputs: as in the forward; no batch where it does not come from the
            input.
        found: what :func:`launch_backward` left.
        counts: elements behind a row of a sample, and of the batch.

    Returns:
        B and d of B x + d, (N, G, c, c) and (N, G, c), and the gradients of
        the parameters.
    """
    samples, groups, rows = stage.samples, stage.groups, stage.rows
    sample, batch, parameters = inputs
    new = found.A.new_empty
    B, d = new(samples, groups, rows, rows), new(samples, groups, rows)
    gradients = _empty_gradients(stage, parameters)
    d_mean, d_cov, *others = (
        v if v.numel() else None for v in found.shared.split(found.sizes, 1)
    )
    learned = others[-1] is not None
    ratios = stage.ratio_groups if learned else 0
    written = gradients if learned else (*gradients[:2], None, None)
    numbers = (len(stage.spec.stats), logit_parts(stage), max(1, ratios))
    shared = (*others, B, d, *written)
    of_batch = (batch.mean, batch.cov) if batch else (None, None)
    d_batch = (d_mean, d_cov) if batch else (None, None)
    if rows == 1:
        blocks = -(-groups // CHANNELS)
        launch(
            scalar_combine,
            samples * blocks + ratios,
            (
                *(
                    sample.mean if sample else None,
                    *(found.sample or (None,) * 2),
                ),
                *(of_batch[0], *d_batch),
                *shared,
            ),
            (
                *(samples, found.shared.shape[1], *counts),
                *(groups, blocks, *numbers),
            ),
            BLOCK=CHANNELS,
        )
        return B, d, gradients
    launch(
        matrix_combine,
        samples * groups + ratios,
        (
            *(*(sample or (None,) * 2), *(found.sample or (None,) * 2)),
            *(found.layer, *of_batch, *d_batch),
            *shared,
        ),
        (
            *(samples, found.shared.shape[1], *counts),
            *(groups, stage.slots, *numbers),
        ),
        LN=0 if found.layer is not None else -1,
        ROWS=rows,
        PADDED=padded(rows),
        BLOCK=CHANNELS,
        num_warps=stage_warps(rows),
    )
    return B, d, gradients


def _empty_gradients(stage: Stage, parameters: Parameters) -> Parameters:
    """Return room for the parameters' gradients, zeros for a hard choice."""
    weight, bias, *logits = parameters
    new = torch.zeros_like if stage.spec.hard else torch.empty_like
    return Parameters(
        None if weight is None else torch.empty_like(weight),
        None if bias is None else torch.empty_like(bias),
        *(None if v is None else new(v) for v in logits),
    )
