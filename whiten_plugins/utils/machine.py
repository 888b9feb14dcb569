"""The machine that this runs on."""

from __future__ import annotations

import datetime
import platform
from pathlib import Path

import torch

_CPUINFO = Path('/proc/cpuinfo')


def processor_name() -> str:
    """Return the processor's model, as its maker calls it."""
    for line in processor_facts('model name'):
        return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def processor_facts(*names: str) -> list[str]:
    """Return lines of ``/proc/cpuinfo``, each once, in order.

    The list is empty where there is no such file.

    Args:
        names: what the lines begin with, as in ``'model name'``, ``'flags'``.
    """
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return []
    return sorted({line for line in lines if line.startswith(names)})


def describe_machine(device: torch.device) -> dict[str, str]:
    """Return chip, versions and date, to go with every measured figure."""
    if device.type == 'cuda':
        chip = torch.cuda.get_device_name(device)
    else:
        chip = f'{processor_name()}, {torch.get_num_threads()} threads'
    return {
        'chip': chip,
        'torch': torch.__version__,
        'python': platform.python_version(),
        'date': datetime.date.today().isoformat(),
    }
