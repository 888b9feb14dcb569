"""The compiled small-matrix stage.

Eigendecompositions (``zca``, ``pca``), the running whitening matrix and
parameters of other precisions are PyTorch's.
"""

from __future__ import annotations

from ctypes import byref
from typing import TypeVar

import torch
from torch import Tensor

from ...spec import Moments, NormSpec
from ..torch import transform as pytorch
from ..torch.transform import Coefficients, Parameters, TransformGradients
from .library import (
    STATISTICS,
    MomentsOf,
    ParametersOf,
    Stage,
    addresses,
    kernels,
    readable,
)

_Tensors = TypeVar('_Tensors', Moments, Parameters, None)


def _serves(
    sample: Moments | None,
    batch: Moments | None,
    parameters: Parameters,
    spec: NormSpec,
    whitened: bool,
) -> bool:
    if whitened or (spec.whitening != 'itn' and spec.num_rows > 1):
        return False
    return readable(*(sample or ()), *(batch or ()), *parameters)


def _stage(
    sample: Moments | None,
    batch: Moments | None,
    parameters: Parameters,
    spec: NormSpec,
    active: tuple[str, ...],
) -> Stage:
    samples, groups, rows = (sample or batch).mean.shape
    logits = parameters.mean_logits
    num_logits = 0 if logits is None else logits.shape[-1]
    affine = parameters.weight
    affine = parameters.bias if affine is None else affine
    return Stage(
        samples=samples,
        groups=groups,
        rows=rows,
        slots=1 if affine is None else affine.numel() // (groups * rows),
        ratio_groups=logits.numel() // num_logits if num_logits else 1,
        num_logits=num_logits,
        position=tuple(
            spec.stats.index(name) if name in active else -1
            for name in STATISTICS
        ),
        steps=spec.T,
        hard=spec.hard,
        eps=spec.eps,
        sample=MomentsOf.at(sample),
        batch=MomentsOf.at(batch),
        parameters=ParametersOf(*addresses(parameters)),
    )


def transform(
    sample: Moments | None,
    batch: Moments | None,
    parameters: Parameters,
    spec: NormSpec,
    active: tuple[str, ...],
    whitened: bool = False,
) -> Coefficients:
    """As :func:`.torch.transform.transform`."""
    if not _serves(sample, batch, parameters, spec, whitened):
        return pytorch.transform(
            sample, batch, parameters, spec, active, whitened
        )
    sample, batch, parameters = (
        _contiguous(v) for v in (sample, batch, parameters)
    )
    stage = _stage(sample, batch, parameters, spec, active)
    mean, cov = sample or batch
    entries = stage.groups * stage.slots
    results = Coefficients(
        cov.new_empty(stage.samples, entries, *cov.shape[2:]),
        mean.new_empty(stage.samples, entries, stage.rows),
        torch.empty_like(cov),
    )
    kernels().transform(
        byref(stage), *addresses(results), torch.get_num_threads()
    )
    return results


def _contiguous(tensors: _Tensors) -> _Tensors:
    return tensors and type(tensors)(
        *(v if v is None else v.contiguous() for v in tensors)
    )


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
    if not _serves(sample, batch, parameters, spec, whitened):
        return pytorch.transform_backward(
            dA, db, sample, batch, parameters, spec, active, whitened
        )
    sample, batch, parameters = (
        _contiguous(v) for v in (sample, batch, parameters)
    )
    stage = _stage(sample, batch, parameters, spec, active)
    entries = (stage.samples, stage.groups * stage.slots)
    dA, db = (v.sum_to_size(*entries, *v.shape[2:]) for v in (dA, db))
    A = torch.empty_like(dA)
    mixed = Moments(*(torch.empty_like(v) for v in sample or batch))
    d_batch = batch and Moments(*(torch.empty_like(v) for v in batch))
    d_parameters = Parameters(
        *(v if v is None else torch.empty_like(v) for v in parameters)
    )
    kernels().transform_backward(
        byref(stage),
        *addresses((dA, db, A)),
        byref(MomentsOf.at(mixed)),
        byref(MomentsOf.at(d_batch)),
        byref(ParametersOf(*addresses(d_parameters))),
        torch.get_num_threads(),
    )
    d_sample = mixed if sample else None
    return A, TransformGradients(d_sample, d_batch, d_parameters)
