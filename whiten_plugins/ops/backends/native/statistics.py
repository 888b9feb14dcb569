"""What becomes of moments between the passes, in C++."""

from __future__ import annotations

from ctypes import byref

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ...spec import Moments, Running
from ..torch import statistics as pytorch
from .library import MomentsStruct, kernels, readable


def _at(moments: Moments | Running):
    return byref(MomentsStruct.at(moments))


def _serves(*tensors: Tensor) -> bool:
    return readable(*tensors) and all(v.is_contiguous() for v in tensors)


def merge_samples(sample: Moments) -> Moments:
    """As :func:`..torch.statistics.merge_samples`."""
    if not (_serves(*sample) and len(sample.mean)):
        return pytorch.merge_samples(sample)
    batch = Moments(*(torch.empty_like(v[:1]) for v in sample))
    kernels().merge_samples(_at(sample), *sample.mean.shape, _at(batch))
    return batch


def moments_backward(
    moments: Moments, gradients: Moments, count: Tensor | int
) -> tuple[Tensor, Tensor]:
    """As :func:`..torch.statistics.moments_backward`."""
    if not _serves(*moments, *gradients):
        return pytorch.moments_backward(moments, gradients, count)
    B, d = torch.empty_like(moments.cov), torch.empty_like(moments.mean)
    kernels().moments_backward(
        _at(moments),
        _at(gradients),
        d[..., 0].numel(),
        d.shape[-1],
        float(count),
        B.data_ptr(),
        d.data_ptr(),
    )
    return B, d


def update_running(
    running: Running, batch: Moments, momentum: float | None
) -> None:
    """As :func:`..torch.statistics.update_running`."""
    buffers, count = [running.mean, running.cov], running.num_batches
    countable = count is None or _is_count(count)
    if not (_serves(*buffers, *batch) and countable):
        return pytorch.update_running(running, batch, momentum)
    kernels().update_running(
        _at(batch),
        *batch.mean.shape[1:],
        -1.0 if momentum is None else momentum,
        _at(running),
        None if count is None else count.data_ptr(),
    )
    for buffer in buffers if count is None else (*buffers, count):
        increment_version(buffer)


def _is_count(v: Tensor) -> bool:
    return v.dtype == torch.int64 and v.is_cpu and type(v) is Tensor
