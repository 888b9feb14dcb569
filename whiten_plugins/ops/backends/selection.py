"""Which code does the work: PyTorch, C++ or Triton kernels.

The environment variable ``WHITEN_PLUGINS_BACKEND`` forces ``torch``,
``native`` or ``triton``. Unset or ``auto``, Triton serves tensors on a GPU
where version 3 or newer is installed, the C++ kernels tensors on a CPU where
a compiler makes them, PyTorch everything else. float64 and empty tensors are
PyTorch's in any case, and so is what the kernels hand on (see their packages).
"""

from __future__ import annotations

import functools
import os
import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from .backend import Backend
from .torch import BACKEND as PYTORCH

VARIABLE = 'WHITEN_PLUGINS_BACKEND'
CHOICES = ('auto', 'torch', 'native', 'triton')


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


@functools.cache
def native_failure() -> str | None:
    """Why the C++ kernels are unavailable; None where they are there.

    They are compiled now, in seconds, if they never were on this processor.
    """
    from .native.library import BuildError, kernels

    try:
        kernels()
    except BuildError as error:
        return str(error)
    return None


@functools.cache
def _native_serves() -> bool:
    failure = native_failure()
    if failure:
        warnings.warn(
            'whiten_plugins runs on the CPU without its C++ kernels, about '
            f'half as fast: {failure}. {VARIABLE}=torch makes this choice '
            'without a warning',
            stacklevel=2,
        )
    return failure is None


def _native_kernels() -> Backend:
    from .native import BACKEND

    return BACKEND


def _triton_kernels() -> Backend:
    from .triton import BACKEND

    return BACKEND


def _forced_native(x: Tensor) -> Backend:
    if x.device.type != 'cpu':
        raise RuntimeError(
            f'{VARIABLE}=native got a tensor on {x.device}: move it to the '
            f'CPU or set {VARIABLE}=triton or torch'
        )
    failure = native_failure()
    if failure:
        raise RuntimeError(
            f'{VARIABLE}=native is unavailable: {failure}; set '
            f'{VARIABLE}=torch'
        )
    return _native_kernels()


def _forced_triton(x: Tensor) -> Backend:
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
    return _triton_kernels()


def backend_for(x: Tensor) -> Backend:
    """The backend that serves ``x``.

    Raises:
        ValueError: if the environment variable holds no known choice.
        RuntimeError: if it forces kernels where they cannot run.
    """
    choice = os.environ.get(VARIABLE) or 'auto'
    if choice not in CHOICES:
        raise ValueError(
            f'{VARIABLE} must be one of {", ".join(CHOICES)}; got {choice!r}'
        )
    if choice == 'torch' or x.dtype == torch.float64 or x.numel() == 0:
        return PYTORCH
    if choice == 'triton':
        return _forced_triton(x)
    if choice == 'native':
        return _forced_native(x)
    if x.is_cuda and triton_serves():
        return _triton_kernels()
    if x.device.type == 'cpu' and _native_serves():
        return _native_kernels()
    return PYTORCH


class BackendChoice(NamedTuple):
    """Which backend serves a device, and why."""

    device: str
    backend: str
    reason: str


def describe_backends() -> list[BackendChoice]:
    """Return what serves float32 tensors on the CPU and on each GPU.

    ``backend`` is ``none`` where the environment variable forces kernels
    that cannot run there.
    """
    devices = [torch.device('cpu')]
    for index in range(torch.cuda.device_count()):
        devices.append(torch.device('cuda', index))
    return [_describe(device) for device in devices]


def _describe(device: torch.device) -> BackendChoice:
    label = str(device)
    if device.type == 'cuda':
        label += f' {torch.cuda.get_device_name(device)}'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            name = backend_for(torch.empty(1, device=device)).name
    except (RuntimeError, ValueError) as error:
        return BackendChoice(label, 'none', str(error))
    return BackendChoice(label, name, _reason(name, device))


def _reason(name: str, device: torch.device) -> str:
    choice = os.environ.get(VARIABLE) or 'auto'
    if choice != 'auto':
        return f'{VARIABLE}={choice}'
    if name == 'native':
        return 'C++ kernels, compiled for this processor'
    if name == 'triton':
        return f'Triton {triton_version()}'
    if device.type == 'cpu':
        return f'no C++ kernels: {native_failure()}'
    found = triton_version() or 'none'
    return f'needs Triton 3 or newer, found {found}'
