"""What a report of a problem needs to say of the machine it happened on."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec

import torch

from .. import __version__
from ..ops import describe_backends
from ..utils.machine import processor_name

# Modules by which the packages that matter are imported.
MODULES = (
    'torch',
    'torchvision',
    'numpy',
    'triton',
    'mmengine',
    'mmcv',
    'mmdet',
    'mmseg',
    'cv2',
    'matplotlib',
    'onnx',
    'onnxruntime',
)
VARIABLES = ('CXX', 'CUDA_HOME', 'CUDA_VISIBLE_DEVICES', 'TRITON_INTERPRET')
PREFIXES = ('WHITEN_PLUGINS_', 'OMP_', 'KMP_', 'MKL_')


def collect_env() -> dict[str, str]:
    """Return versions, backends and hardware, by their names.

    Returns:
        dict[str, str]: A line each, in the order to show them: Python and the
        system, every package that matters with the distribution that provides
        it, the backend of each device and why it was chosen, compilers, GPUs,
        threads, and the environment variables that change any of it.
    """
    facts = {
        'whiten_plugins': __version__,
        'Python': f'{platform.python_version()}, {platform.platform()}',
    }
    facts.update(_packages())
    for device, backend, reason in describe_backends():
        place = 'the CPU' if device == 'cpu' else device
        facts[f'backend on {place}'] = f'{backend}: {reason}'
    facts['C++ compiler'] = _first_line(os.environ.get('CXX') or 'c++')
    facts['nvcc'] = _nvcc()
    facts['GPU'] = _gpus()
    facts['processor'] = (
        f'{processor_name()}, {len(os.sched_getaffinity(0))} cores usable'
    )
    facts['threads of torch'] = str(torch.get_num_threads())
    for name, value in sorted(os.environ.items()):
        if name in VARIABLES or name.startswith(PREFIXES):
            facts[name] = value
    return facts


def format_env(facts: dict[str, str]) -> str:
    """Format facts one below the other, a line each."""
    width = max(map(len, facts))
    return '\n'.join(f'{name:<{width}}  {v}' for name, v in facts.items())


def _packages() -> Iterator[tuple[str, str]]:
    """Yield every package's version and what it is installed from."""
    providers = packages_distributions()
    for module in MODULES:
        if find_spec(module) is None:
            yield module, 'not installed'
            continue
        found = sorted(set(providers.get(module, [])))
        text = ' and '.join(
            version(name) if name == module else f'{version(name)} ({name})'
            for name in found
        )
        text = text or 'in no distribution (PYTHONPATH?)'
        if len(found) > 1:
            text += ': two distributions in one place, remove both'
        if module == 'mmcv':
            built = find_spec('mmcv._ext') is not None
            text += f', operators {"compiled" if built else "missing"}'
        yield module, text


def _first_line(command: str) -> str:
    """Return what a program says of its version, in one line."""
    words = shlex.split(command)
    if not shutil.which(words[0]):
        return f'none ({words[0]} not found)'
    said = subprocess.run(
        [*words, '--version'], capture_output=True, text=True
    ).stdout
    return next(iter(said.splitlines()), f'{command} says nothing')


def _nvcc() -> str:
    home = os.environ.get('CUDA_HOME', '/usr/local/cuda')
    nvcc = shutil.which(f'{home}/bin/nvcc') or shutil.which('nvcc')
    if nvcc is None:
        return 'none'
    said = subprocess.run([nvcc, '--version'], capture_output=True, text=True)
    releases = [s for s in said.stdout.splitlines() if 'release' in s]
    return f'{releases[0].strip() if releases else "of no version"} ({nvcc})'


def _gpus() -> str:
    built = torch.version.cuda or torch.version.hip or 'none'
    if not torch.cuda.is_available():
        return f'none that torch can use (built for CUDA {built})'
    names = []
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        memory = gpu.total_memory / 2**30
        names.append(
            f'{gpu.name}, sm_{gpu.major}{gpu.minor}, {memory:.0f} GiB'
        )
    return f'{"; ".join(names)} (torch built for CUDA {built})'
