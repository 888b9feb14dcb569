"""Products in full float32, whatever torch's switches say.

tf32 on a GPU and bfloat16 on a CPU keep 10 and 7 bits of a factor, which
covariances and inverse square roots do not survive.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside: dict[str, int] = {}
_outside: dict[str, str | bool] = {}


def has_fp32_precision(matmul: object) -> bool:
    """Return whether torch names a device's precision, as since 2.9."""
    try:
        return hasattr(matmul, 'fp32_precision')
    except AssertionError:  # how torch 2.1 says that there is no such name
        return False


def _switch(device: str) -> tuple[object, str, str | bool] | None:
    """Return where torch keeps the precision of products on a device.

    That is an object, the name of its attribute, and the value for full
    float32.
    """
    backend = {'cuda': torch.backends.cuda, 'cpu': torch.backends.mkldnn}
    matmul = getattr(backend.get(device), 'matmul', None)
    if has_fp32_precision(matmul):
        return matmul, 'fp32_precision', 'ieee'
    if device == 'cuda':  # before torch 2.9
        return matmul, 'allow_tf32', False
    return None


@contextmanager
def full_float32(device: str) -> Iterator[None]:
    """Take products on a kind of device in full float32.

    The switch is one for all threads: the first to come in turns it, the
    last to leave turns it back.
    """
    switch = _switch(device)
    if switch is None:
        yield
        return
    place, name, full = switch
    with _lock:
        _inside[device] = _inside.get(device, 0) + 1
        if _inside[device] == 1:
            _outside[device] = getattr(place, name)
            if _outside[device] != full:
                setattr(place, name, full)
    try:
        yield
    finally:
        with _lock:
            _inside[device] -= 1
            if not _inside[device] and _outside[device] != full:
                setattr(place, name, _outside[device])
