"""Describe any norm as one of the core's.

Tells which rows it normalizes by which statistics, and returns its input with
the channels second.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..analysis.norms import statistics_of
from ..norms.base import WhiteningNorm
from ..ops import NormSpec


def spec_of(norm: nn.Module) -> NormSpec:
    """Describe a norm in the terms of the core.

    GN is GW without the correlations between its groups; what is not known
    counts as LN.
    """
    if isinstance(norm, WhiteningNorm):
        return norm.spec
    eps = float(getattr(norm, 'eps', 1e-5))
    if isinstance(norm, nn.GroupNorm):
        return NormSpec(('iw',), norm.num_groups, across_groups=True, eps=eps)
    stats = tuple(s for s in statistics_of(norm) if s in ('bn', 'in'))
    return NormSpec(stats or ('ln',), num_rows=1, eps=eps)


def channels_second(x: Tensor, norm: nn.Module) -> Tensor:
    """Return the input of a norm as (N, C, M).

    It is a view, or a copy where the input's strides allow no view.

    torch's LayerNorm normalizes the last dimensions; where that is one, it
    holds the channels. Layer norms of maps (N, C, H, W) keep theirs.
    """
    shape = tuple(getattr(norm, 'normalized_shape', None) or ())
    is_last = bool(shape) and x.shape[-len(shape) :] == shape
    if is_last and len(shape) == 1:
        if x.dim() > 2:
            return x.reshape(len(x), -1, shape[0]).mT.contiguous()
        return x.unsqueeze(-1)
    if is_last:
        x = x.reshape(-1, *shape)
    return x.flatten(2) if x.dim() > 2 else x.unsqueeze(-1)


def map_size(x: Tensor, norm: nn.Module) -> tuple[int, ...]:
    """Return the trailing sizes of an input, without the channels."""
    shape = getattr(norm, 'normalized_shape', None)
    if shape and len(shape) == 1 and x.shape[-1] == shape[0]:
        return tuple(x.shape[1:-1])
    return tuple(x.shape[2:])
