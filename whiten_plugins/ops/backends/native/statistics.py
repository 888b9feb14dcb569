"""What becomes of moments between the passes, compiled."""

from __future__ import annotations

from ctypes import byref

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ... import running
from ...running import Running
from ...spec import Moments
from ..torch import mixture
from .library import MomentsOf, kernels, readable


def _at(moments: Moments | Running) -> MomentsOf:
    return byref(MomentsOf.at(moments))


def _serves(*tensors: Tensor) -> bool:
    return readable(*tensors) and all(v.is_contiguous() for v in tensors)


def merge_samples(sample: Moments) -> Moments:
    """As :func:`.torch.mixture.merge_samples`."""
    if not (_serves(*sample) and len(sample.mean)):
        return mixture.merge_samples(sample)
    batch = Moments(*(torch.empty_like(v[:1]) for v in sample))
    kernels().merge_samples(_at(sample), *sample.mean.shape, _at(batch))
    return batch


def moments_backward(
    moments: Moments, gradients: Moments, count: Tensor | int
) -> tuple[Tensor, Tensor]:
    """As :func:`.torch.mixture.moments_backward`."""
    if not _serves(*moments, *gradients):
        return mixture.moments_backward(moments, gradients, count)
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
    buffers: Running, mean: Tensor, second: Tensor, momentum: float
) -> None:
    """As :func:`whiten_plugins.ops.running.update_running`."""
    if not _serves(*buffers, mean, second):
        return running.update_running(buffers, mean, second, momentum)
    kernels().update_running(
        _at(Moments(mean, second)), *mean.shape[1:], momentum, _at(buffers)
    )
    for buffer in buffers:
        increment_version(buffer)
