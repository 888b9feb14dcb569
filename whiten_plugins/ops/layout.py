"""Views of activations as rows that are whitened together.

Two views of the same memory serve the whole family. The statistics of a
sample are taken over (N, G, c, M): G groups of c rows with M elements each.
The affine map y = A x + b acts on (N, E, c, M'): as the statistics where the
rows are channels; where each row holds C / c channels (GW), every channel
slot of the rows is an entry of its own, since weight and bias differ there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .spec import NormSpec

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def dense(x: Tensor) -> Tensor:
    """Return ``x`` so that its trailing dimensions flatten to a view.

    That is ``x`` itself where they do, else a contiguous copy.
    """
    last = _CHANNELS_LAST.get(x.dim())
    if last is not None and x.is_contiguous(memory_format=last):
        return x
    return x.contiguous()


def _flat(x: Tensor) -> Tensor:
    r"""View (N, C, \*) as (N, C, M)."""
    return x.flatten(2) if x.dim() > 2 else x.unsqueeze(-1)


def statistics_view(x: Tensor, spec: NormSpec) -> Tensor:
    r"""View (N, C, \*) as (N, G, c, M): rows that share statistics."""
    x = _flat(x)
    num_samples, channels, size = x.shape
    if spec.across_groups:
        slots = channels // spec.num_rows
        return x.unflatten(1, (spec.num_rows, slots)).reshape(
            num_samples, 1, spec.num_rows, slots * size
        )
    return x.unflatten(1, (channels // spec.num_rows, spec.num_rows))


def affine_view(x: Tensor, spec: NormSpec) -> Tensor:
    r"""View (N, C, \*) as (N, E, c, M'): rows that share A and b."""
    x = _flat(x)
    channels = x.shape[1]
    if spec.across_groups:
        slots = channels // spec.num_rows
        return x.unflatten(1, (spec.num_rows, slots)).transpose(1, 2)
    return x.unflatten(1, (channels // spec.num_rows, spec.num_rows))


def affine_channels(v: Tensor, spec: NormSpec) -> Tensor:
    """View per-channel (C,) as (E, c), beside :func:`affine_view`."""
    if spec.across_groups:
        return v.view(spec.num_rows, -1).t()
    return v.view(-1, spec.num_rows)
