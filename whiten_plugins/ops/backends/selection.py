"""Which code does the work: PyTorch, C++ or Triton kernels.

The environment variable ``WHITEN_PLUGINS_BACKEND`` forces ``torch``,
``native`` or ``triton``. Unset or ``auto``, Triton serves tensors on a GPU
where :func:`triton_refusal` has nothing against it and the kernels agree with
PyTorch there (:mod:`.triton.first_use`); the C++ kernels serve tensors on a
CPU where a compiler makes them, PyTorch everything else. float64 and empty
tensors are PyTorch's in any case, and so is what the kernels hand on (see
their packages).
"""

from __future__ import annotations

import functools
import os
import re
import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from ..spec import NormSpec
from .backend import Backend
from .settings import VARIABLE, choice
from .torch import BACKEND as PYTORCH

OLDEST_TRITON = (3, 3)
"""Older ones compile sums of three dimensions wrongly."""

OLDEST_CAPABILITY = (8, 0)

_SILENT = f'{VARIABLE}=torch makes this choice without a warning'


@functools.cache
def triton_version() -> str | None:
    """Return the version of Triton; None where it cannot be imported."""
    try:
        import triton
    except Exception:  # of its libraries too
        return None
    return triton.__version__


def triton_refusal(device: torch.device) -> str | None:
    """Return why the Triton kernels do not serve a device; None: they do."""
    version = triton_version()
    oldest = '.'.join(map(str, OLDEST_TRITON))
    if version is None:
        return f'Triton {oldest} or newer is needed, none can be imported'
    if tuple(map(int, re.findall(r'\d+', version)[:2])) < OLDEST_TRITON:
        return f'Triton {oldest} or newer is needed, found {version}'
    if device.type != 'cuda':
        return None
    if torch.version.hip:
        return 'the kernels have not been seen working on ROCm'
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < OLDEST_CAPABILITY:
        return (
            'the kernels have not been seen working below compute capability '
            f'8.0; this GPU has {major}.{minor}'
        )
    return None


@functools.cache
def _triton_serves(device: torch.device) -> bool:
    reason = triton_refusal(device)
    if reason:
        _warn(f'whiten_plugins runs on {device} without its kernels: {reason}')
    return reason is None


@functools.cache
def native_failure() -> str | None:
    """Return why the C++ kernels are unavailable; None: they are there.

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
        _warn(
            'whiten_plugins runs on the CPU without its C++ kernels, about '
            f'half as fast: {failure}'
        )
    return failure is None


def _warn(message: str) -> None:
    warnings.warn(f'{message}. {_SILENT}', stacklevel=2)


def _native_kernels() -> Backend:
    from .native import BACKEND

    return BACKEND


def _triton_kernels() -> Backend:
    from .triton import BACKEND

    return BACKEND


def _forced_native(device: torch.device) -> Backend:
    if device.type != 'cpu':
        raise RuntimeError(
            f'{VARIABLE}=native got a tensor on {device}: move it to the '
            f'CPU or set {VARIABLE}=triton or torch'
        )
    failure = native_failure()
    if failure:
        raise RuntimeError(
            f'{VARIABLE}=native is unavailable: {failure}; set '
            f'{VARIABLE}=torch'
        )
    return _native_kernels()


def _forced_triton(device: torch.device) -> Backend:
    reason = triton_refusal(device)
    if reason:
        raise RuntimeError(
            f'{VARIABLE}=triton is unavailable: {reason}; set {VARIABLE}=torch'
        )
    interpreted = os.environ.get('TRITON_INTERPRET') == '1'
    if not (device.type == 'cuda' or interpreted):
        raise RuntimeError(
            f'{VARIABLE}=triton got a tensor on {device}: move it to a '
            f'GPU, set {VARIABLE}=torch, or start with TRITON_INTERPRET=1 '
            'for the interpreter (slow)'
        )
    return _triton_kernels()


@functools.cache
def checked(
    spec: NormSpec, dtype: torch.dtype, device: torch.device, forced: bool
) -> Backend:
    """Return the Triton kernels, or PyTorch if they fail their check.

    Raises:
        RuntimeError: if they fail although they are forced.
    """
    from .triton import BACKEND, KERNELS
    from .triton.first_use import chip, outcome

    failure = outcome(KERNELS, spec, dtype, device).failure
    if not failure:
        return BACKEND
    message = (
        f'the Triton kernels failed their check on {chip(device)}, Triton '
        f'{triton_version()}, torch {torch.__version__}, for {spec.stats} of '
        f'{spec.num_rows} rows in {dtype}: {failure}'
    )
    if forced:
        raise RuntimeError(f'{message}; set {VARIABLE}=torch')
    _warn(f'{message}. PyTorch takes over; please report this')
    return PYTORCH


def backend_for(x: Tensor, spec: NormSpec | None = None) -> Backend:
    """Return the backend that serves ``x``.

    Args:
        x: the input.
        spec: the norm; kernels on a GPU are checked for it before they
            serve it first.

    Raises:
        ValueError: if the environment variable holds no known choice.
        RuntimeError: if it forces kernels where they cannot run.
    """
    chosen = choice()
    if chosen == 'torch' or x.dtype == torch.float64 or x.numel() == 0:
        return PYTORCH
    if chosen == 'native':
        return _forced_native(x.device)
    if chosen == 'triton':
        backend = _forced_triton(x.device)
    elif x.is_cuda and _triton_serves(x.device):
        backend = _triton_kernels()
    elif x.device.type == 'cpu' and _native_serves():
        return _native_kernels()
    else:
        return PYTORCH
    # A check synchronizes, which no graph can capture.
    if spec and x.is_cuda and not torch.cuda.is_current_stream_capturing():
        return checked(spec, x.dtype, x.device, chosen == 'triton')
    return backend


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


_EXAMPLE = NormSpec(('bw', 'iw'), num_rows=16)
"""SW; the first check of a chip takes some seconds."""


def _describe(device: torch.device) -> BackendChoice:
    label = str(device)
    if device.type == 'cuda':
        label += f' {torch.cuda.get_device_name(device)}'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            x = torch.empty(1, device=device)
            name = backend_for(x, _EXAMPLE).name
    except (RuntimeError, ValueError) as error:
        return BackendChoice(label, 'none', str(error))
    return BackendChoice(label, name, _reason(name, device))


def _reason(name: str, device: torch.device) -> str:
    if choice() != 'auto':
        return f'{VARIABLE}={choice()}'
    if name == 'native':
        return 'C++ kernels, compiled for this processor'
    if device.type == 'cpu':
        return f'no C++ kernels: {native_failure()}'
    refusal = triton_refusal(device)
    if refusal:
        return refusal
    from .triton import KERNELS
    from .triton.first_use import outcome

    found = outcome(KERNELS, _EXAMPLE, torch.float32, device)
    if found.failure:
        return f'the Triton kernels failed their check: {found.failure}'
    return (
        f'Triton {triton_version()}; SW checked on this GPU: within '
        f'{found.difference:.0e} of PyTorch in float64'
    )
