"""From moments to the coefficients of y = A x + b, and back, on the GPU.

One launch forward and one backward (a second where ``ln`` couples the groups
of a sample), and a sum over samples of the gradients that they share. The
backward recomputes the forward. What the kernels do not take goes to
PyTorch, see :func:`supported`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...spec import Moments, NormSpec
from ..torch import transform as pytorch
from ..torch.transform import Coefficients, Parameters, TransformGradients
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
    sample_block,
    stage_warps,
)


def supported(
    spec: NormSpec, rows: int, slots: int, whitened: bool = False
) -> bool:
    """Whether the kernels take this norm's small matrices.

    They take one-row groups, and Newton's iteration of up to 64 rows of up
    to 64 channel slots. Eigendecompositions (``zca``, ``pca``), wider groups
    and the running whitening matrix are PyTorch's.
    """
    if whitened:
        return False
    if rows == 1:
        return slots == 1
    return (
        spec.whitening == 'itn'
        and rows <= MAX_STAGE_ROWS
        and slots <= MAX_SLOTS
    )


class _Stage(NamedTuple):
    """One small-matrix stage: its inputs and their sizes."""

    sample: Moments | None
    batch: Moments | None
    parameters: Parameters
    spec: NormSpec
    active: tuple[str, ...]

    @property
    def mean(self) -> Tensor:
        """Means of whichever moments there are, (N or 1, G, c)."""
        return (self.sample or self.batch).mean

    @property
    def ratio_groups(self) -> int:
        logits = self.parameters.mean_logits
        return 1 if logits is None or logits.dim() == 1 else len(logits)

    @property
    def num_logits(self) -> int:
        logits = self.parameters.mean_logits
        return 0 if logits is None else logits.shape[-1]

    @property
    def slots(self) -> int:
        """Channels of a row that have weights of their own."""
        _, groups, rows = self.mean.shape
        for values in (self.parameters.weight, self.parameters.bias):
            if values is not None:
                return values.numel() // (groups * rows)
        return 1

    def moments(self) -> tuple[Tensor | None, ...]:
        nothing = (None, None)
        moments = (*(self.sample or nothing), *(self.batch or nothing))
        return tuple(v if v is None else v.contiguous() for v in moments)

    def options(self) -> dict[str, int]:
        """Where the kernels find each statistic among the logits."""
        positions = {
            name.upper(): self.spec.stats.index(name)
            if name in self.active
            else -1
            for name in ('iw', 'in', 'ln', 'bw', 'bn')
        }
        return {**positions, 'HARD': self.spec.hard}


def transform(
    sample: Moments | None,
    batch: Moments | None,
    parameters: Parameters,
    spec: NormSpec,
    active: tuple[str, ...],
    whitened: bool = False,
) -> Coefficients:
    """As :func:`.torch.transform.transform`."""
    stage = _Stage(sample, batch, parameters, spec, active)
    samples, groups, rows = stage.mean.shape
    slots = stage.slots
    if not supported(spec, rows, slots, whitened):
        return pytorch.transform(
            sample, batch, parameters, spec, active, whitened
        )
    new = stage.mean.new_empty
    results = Coefficients(
        new(samples, groups * slots, rows, rows),
        new(samples, groups * slots, rows),
        new(samples, groups, rows, rows),
    )
    tensors = (*stage.moments(), *parameters, *results)
    groups_per_ratio = groups // stage.ratio_groups
    sizes = (groups, stage.num_logits, groups_per_ratio, spec.eps)
    if rows == 1:
        blocks = -(-groups // CHANNELS)
        launch(
            scalar_forward,
            samples * blocks,
            tensors,
            (*sizes, blocks),
            **stage.options(),
            BLOCK=CHANNELS,
        )
    else:
        width = padded(rows)
        scratch = new(samples, groups, 2, width, width) if width > 32 else None
        launch(
            matrix_forward,
            samples * groups,
            (*tensors, scratch),
            (*sizes, slots),
            **stage.options(),
            T=spec.T,
            ROWS=rows,
            PADDED=width,
            num_warps=stage_warps(rows),
        )
    return results


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
    """As :func:`.torch.transform.transform_backward`."""
    stage = _Stage(sample, batch, parameters, spec, active)
    samples, groups, rows = stage.mean.shape
    if not supported(spec, rows, dA.shape[1] // groups, whitened):
        return pytorch.transform_backward(
            dA, db, sample, batch, parameters, spec, active, whitened
        )
    A = dA.new_empty(samples, *dA.shape[1:])
    d_sample = None
    if sample:
        d_sample = Moments(*(torch.empty_like(v) for v in sample))
    sizes = _shared_sizes(stage)
    shared = dA.new_empty(samples, sum(sizes))
    tensors = (
        *(dA.contiguous(), db.contiguous(), *stage.moments()),
        *(parameters.weight, *parameters[2:]),
        *(A, *(d_sample or (None, None))),
        *(v if v.numel() else None for v in shared.split(sizes, 1)),
    )
    _launch_backward(stage, tensors, shared.shape[1])
    shared = shared[0] if samples == 1 else shared.sum(0)
    d_mean, d_cov, d_weight, d_bias, d_logits = shared.split(sizes)
    d_batch = None
    if batch:
        d_batch = Moments(d_mean.view_as(batch.mean), d_cov.view_as(batch.cov))
    d_parameters = Parameters(
        None if parameters.weight is None else d_weight,
        None if parameters.bias is None else d_bias,
        *_logit_gradients(stage, d_logits),
    )
    return A, TransformGradients(d_sample, d_batch, d_parameters)


def _shared_sizes(stage: _Stage) -> list[int]:
    """Numbers in the gradients that samples share: of the batch mean and
    covariance, weight, bias, and 16 for the logits of each group."""
    _, groups, rows = stage.mean.shape
    weight, bias, logits, _ = stage.parameters
    learned = logits is not None and not stage.spec.hard
    return [
        groups * rows if stage.batch else 0,
        groups * rows * rows if stage.batch else 0,
        0 if weight is None else weight.numel(),
        0 if bias is None else bias.numel(),
        groups * 16 if learned else 0,
    ]


def _launch_backward(stage: _Stage, tensors: tuple, stride: int) -> None:
    """Runs the backward kernels; ``stride`` is between the samples of what
    they share."""
    samples, groups, rows = stage.mean.shape
    dA = tensors[0]
    num_samples = len(dA) // samples
    sizes = (stride, num_samples, groups, stage.num_logits)
    sizes += (groups // stage.ratio_groups, stage.spec.eps)
    options = stage.options()
    if rows == 1:
        launch(
            scalar_backward,
            samples,
            tensors,
            sizes,
            **options,
            BLOCK=CHANNELS,
            BLOCK_SAMPLES=sample_block(1, num_samples),
        )
        return
    width, T = padded(rows), stage.spec.T
    d_layer = dA.new_empty(samples, groups, 2)
    scratch = dA.new_empty(samples, groups, T + 1, width, width)
    launch(
        matrix_backward,
        samples * groups,
        (*tensors, d_layer, scratch),
        (*sizes, dA.shape[1] // groups),
        **options,
        T=T,
        ROWS=rows,
        PADDED=width,
        BLOCK_SAMPLES=sample_block(rows, num_samples),
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


def _logit_gradients(stage: _Stage, gradients: Tensor) -> list[Tensor | None]:
    """Gradients of both sets of logits from those of each group; zeros
    where a hard choice gives none."""
    logits = stage.parameters[2:]
    if not gradients.numel():
        return [None if v is None else torch.zeros_like(v) for v in logits]
    summed = gradients.view(stage.ratio_groups, -1, 2, 8).sum(1)
    summed = summed[..., : stage.num_logits].unbind(1)
    return [d.view_as(v) for d, v in zip(summed, logits)]
