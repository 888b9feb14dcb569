"""Batch moments over processes: one all-reduce forward, one backward."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from .spec import Moments


class Sync(NamedTuple):
    """Share batch statistics over ``group``, None for the default one."""

    group: dist.ProcessGroup | None


def world_size(group: dist.ProcessGroup | None) -> int:
    """Return the size of ``group``; 1 outside a process group."""
    if not (dist.is_available() and dist.is_initialized()):
        return 1
    return dist.get_world_size(group)


def _pack(moments: Moments) -> Tensor:
    return torch.cat([v.flatten() for v in moments])


def _unpack(flat: Tensor, like: Moments) -> Moments:
    mean, cov = flat.to(like.mean.dtype).split(
        [like.mean.numel(), like.cov.numel()]
    )
    return Moments(mean.view_as(like.mean), cov.view_as(like.cov))


def all_reduce_moments(
    local: Moments,
    count: int,
    wants_gradient: bool,
    group: dist.ProcessGroup | None,
) -> tuple[Moments, Tensor, Tensor]:
    """Compute moments over all processes, weighted by their elements.

    Raw second moments travel in float64, where their cancellation costs
    nothing that float32 could show.

    Args:
        local: batch moments of this process, (1, G, c[, c]).
        count: elements in each row here; may be 0.
        wants_gradient: whether anything here needs a gradient.
        group: the process group, None for the default one.

    Returns:
        The moments (mean 0 and covariance I where no process has an
        element), the total count and the number of processes that want a
        gradient, both as tensors.
    """
    mean, cov = (v.double() for v in local)
    second = cov + mean.unsqueeze(-1) * mean.unsqueeze(-2)
    counters = mean.new_tensor([count, wants_gradient])
    flat = torch.cat([_pack(Moments(mean, second)) * count, counters])
    dist.all_reduce(flat, group=group)
    total, wanting = flat[-2:]
    mean, second = _unpack(
        flat[:-2] / total.clamp(min=1), Moments(mean, second)
    )
    cov = second - mean.unsqueeze(-1) * mean.unsqueeze(-2)
    eye = torch.eye(cov.shape[-1], dtype=cov.dtype, device=cov.device)
    cov = torch.where(total > 0, cov, eye)
    dtype = local.mean.dtype
    return Moments(mean.to(dtype), cov.to(dtype)), total.to(dtype), wanting


def all_reduce_gradients(
    gradients: Moments, group: dist.ProcessGroup | None
) -> Moments:
    """Sum the gradients of the batch moments over all processes."""
    flat = _pack(gradients)
    dist.all_reduce(flat, group=group)
    return _unpack(flat, gradients)
