"""Which code does the work: PyTorch or Triton kernels.

The environment variable ``WHITEN_PLUGINS_BACKEND`` forces ``torch`` or
``triton``; unset or ``auto``, Triton serves tensors on a GPU where version 3
or newer is installed, PyTorch everything else. float64 and empty tensors are
PyTorch's in any case.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from . import blocks, transform

VARIABLE = 'WHITEN_PLUGINS_BACKEND'
CHOICES = ('auto', 'torch', 'triton')


class Backend(NamedTuple):
    """The passes over activations and the small-matrix stage between."""

    moments: Callable
    affine: Callable
    affine_gradients: Callable
    input_gradient: Callable
    transform: Callable
    transform_backward: Callable


PYTORCH = Backend(
    blocks.moments,
    blocks.affine,
    blocks.affine_gradients,
    blocks.input_gradient,
    transform.transform,
    transform.transform_backward,
)


@functools.cache
def triton_version() -> str | None:
    """The version of Triton; None where it is not installed."""
    try:
        import triton
    except ImportError:
        return None
    return triton.__version__


def triton_serves() -> bool:
    """Whether a Triton that the kernels run on is installed."""
    version = triton_version()
    return version is not None and int(version.split('.')[0]) >= 3


def _kernels() -> Backend:
    from .triton import BACKEND

    return BACKEND


def _forced_kernels(x: Tensor) -> Backend:
    if not triton_serves():
        found = triton_version() or 'none'
        raise RuntimeError(
            f'{VARIABLE}=triton needs Triton 3 or newer, found {found}: '
            f'install it or set {VARIABLE}=torch'
        )
    interpreted = os.environ.get('TRITON_INTERPRET') == '1'
    if not (x.is_cuda or interpreted):
        raise RuntimeError(
            f'{VARIABLE}=triton got a tensor on {x.device}: move it to a '
            f'GPU, set {VARIABLE}=torch, or start with TRITON_INTERPRET=1 '
            'for the interpreter (slow)'
        )
    return _kernels()


def backend_for(x: Tensor) -> Backend:
    """The backend that serves ``x``.

    Raises:
        ValueError: if the environment variable holds no known choice.
        RuntimeError: if it forces Triton where Triton cannot run.
    """
    choice = os.environ.get(VARIABLE, 'auto')
    if choice not in CHOICES:
        raise ValueError(
            f'{VARIABLE} must be one of {", ".join(CHOICES)}; got {choice!r}'
        )
    if choice == 'torch' or x.dtype == torch.float64 or x.numel() == 0:
        return PYTORCH
    if choice == 'triton':
        return _forced_kernels(x)
    return _kernels() if x.is_cuda and triton_serves() else PYTORCH
