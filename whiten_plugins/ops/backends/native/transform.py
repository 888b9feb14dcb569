"""From moments to the coefficients of y = A x + b, and back, in C++.

Eigendecompositions (``zca``, ``pca``) and parameters of other precisions are
PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from typing import TypeVar

import torch
from torch import Tensor

from ...spec import Moments
from ...stage import Coefficients, Parameters, Stage, StageInputs
from ..torch import transform as pytorch
from .library import (
    MomentsStruct,
    ParametersStruct,
    StageStruct,
    addresses,
    kernels,
    readable,
)

_Tensors = TypeVar('_Tensors', Moments, Parameters)


def _serves(stage: Stage, inputs: StageInputs) -> bool:
    if stage.spec.whitening != 'itn' and stage.rows > 1:
        return False
    sample, batch, parameters = inputs
    return readable(*(sample or ()), *(batch or ()), *parameters)


def _each(function: Callable[[Tensor], Tensor], tensors: _Tensors) -> _Tensors:
    return type(tensors)(*(v if v is None else function(v) for v in tensors))


def _contiguous(inputs: StageInputs) -> StageInputs:
    return StageInputs(
        inputs.sample and _each(Tensor.contiguous, inputs.sample),
        inputs.batch and _each(Tensor.contiguous, inputs.batch),
        _each(Tensor.contiguous, inputs.parameters),
    )


def stage_struct(stage: Stage) -> StageStruct:
    """Return the stage for the kernels, without tensors."""
    spec = stage.spec
    return StageStruct(
        samples=stage.samples,
        groups=stage.groups,
        rows=stage.rows,
        slots=stage.slots,
        ratio_groups=stage.ratio_groups,
        num_logits=len(spec.stats),
        position=tuple(stage.positions.values()),
        steps=spec.T,
        hard=spec.hard,
        eps=spec.eps,
    )


def _struct(stage: Stage, inputs: StageInputs) -> StageStruct:
    struct = stage_struct(stage)
    struct.sample = MomentsStruct.at(inputs.sample)
    struct.batch = MomentsStruct.at(inputs.batch)
    struct.parameters = ParametersStruct.at(inputs.parameters)
    return struct


def transform(stage: Stage, inputs: StageInputs) -> Coefficients:
    """As :func:`..torch.transform.transform`."""
    if not _serves(stage, inputs):
        return pytorch.transform(stage, inputs)
    inputs = _contiguous(inputs)
    mean, cov = inputs.moments
    results = Coefficients(
        cov.new_empty(stage.samples, stage.entries, *cov.shape[2:]),
        mean.new_empty(stage.samples, stage.entries, stage.rows),
        torch.empty_like(cov),
    )
    kernels().transform(
        byref(_struct(stage, inputs)),
        *addresses(results),
        torch.get_num_threads(),
    )
    return results


def transform_backward(
    stage: Stage, inputs: StageInputs, dA: Tensor, db: Tensor
) -> tuple[Tensor, StageInputs]:
    """As :func:`..torch.transform.transform_backward`."""
    if not _serves(stage, inputs):
        return pytorch.transform_backward(stage, inputs, dA, db)
    inputs = _contiguous(inputs)
    shape = (stage.samples, stage.entries)
    dA, db = (v.sum_to_size(*shape, *v.shape[2:]) for v in (dA, db))
    A = torch.empty_like(dA)
    # The gradients of the mixed moments come first, and become the samples'.
    mixed = _each(torch.empty_like, inputs.moments)
    d_batch = inputs.batch and _each(torch.empty_like, inputs.batch)
    d_parameters = _each(torch.empty_like, inputs.parameters)
    kernels().transform_backward(
        byref(_struct(stage, inputs)),
        *addresses((dA, db, A)),
        byref(MomentsStruct.at(mixed)),
        byref(MomentsStruct.at(d_batch)),
        byref(ParametersStruct.at(d_parameters)),
        torch.get_num_threads(),
    )
    d_sample = mixed if inputs.sample else None
    return A, StageInputs(d_sample, d_batch, d_parameters)
