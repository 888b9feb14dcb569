"""A batch of one image, where two statistics of a layer are the same."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING
from weakref import WeakSet

import torch
import torch.distributed as dist
from torch import Tensor, nn

if TYPE_CHECKING:
    from types import FrameType

    from .base import WhiteningNorm

# In a batch of one image the first is the second.
_SAME_STATS = {'bn': 'in', 'bw': 'iw'}
_warned: WeakSet[nn.Module] = WeakSet()


def warn_of_one_image(norm: WhiteningNorm, input: Tensor) -> None:
    """Warn, once per network, that a batch of one image teaches no ratios.

    ``bn`` of one image is its ``in``, and ``bw`` its ``iw``: the two logits
    receive the same gradient, and evaluation then replaces one of them by
    running statistics. SN section 4.1.2 has no BN at one image a GPU.

    Args:
        norm: a norm in training that learns ratios.
        input: what it is given.
    """
    if input.shape[0] != 1 or input.shape[2:].numel() < 2:
        return
    if getattr(torch.compiler, 'is_compiling', bool)() or norm in _warned:
        return
    stats = norm.stats
    same = [(b, s) for b, s in _SAME_STATS.items() if {b, s} <= set(stats)]
    if not same or _num_processes(norm) > 1:
        return
    network, name = _network_of(norm)
    _warned.add(norm)
    if network in _warned:
        return
    _warned.add(network)
    left = tuple(s for s in stats if s not in _SAME_STATS)
    pairs = ' and '.join(f'{b} is {s}' for b, s in same)
    layer = f'{name} ({type(norm).__name__})' if name else repr(norm)
    warnings.warn(
        f'{layer} is trained on a batch of one image, where {pairs}: their '
        f'ratios learn nothing, and evaluation uses running statistics that '
        f'training did not. What works: two images a batch or more, '
        f'stats={left}, or a Sync norm in several processes. This network '
        'has no further warning of this kind',
        stacklevel=3,
    )


def _num_processes(norm: WhiteningNorm) -> int:
    if norm.sync is None or not dist.is_initialized():
        return 1
    return dist.get_world_size(norm.sync.group)


def _network_of(norm: nn.Module) -> tuple[nn.Module, str]:
    """Return the outermost running module and the norm's name in it."""
    network: nn.Module = norm
    name = ''
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get('self')
        frame = frame.f_back
        if not isinstance(caller, nn.Module) or caller is network:
            continue
        for path, module in caller.named_modules():
            if module is norm:
                network, name = caller, path
    return network, name
