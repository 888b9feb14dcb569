"""Before the kernels serve a kind of norm on a chip, they are checked there.

Once for a chip, Triton, torch and text of the kernels: the outcome is kept
in ``$XDG_CACHE_HOME/whiten_plugins/checks`` (by default ``~/.cache``).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
import triton

from ...spec import NormSpec
from ..backend import Backend
from ..self_check import check


@dataclass(frozen=True)
class Outcome:
    """Outcome of a check.

    ``failure`` says what is wrong and is empty if nothing is;
    ``difference`` is the largest one from PyTorch, as a part of the
    largest value.
    """

    failure: str
    difference: float


@functools.cache
def chip(device: torch.device) -> str:
    """Return a GPU's name and compute capability."""
    if device.type != 'cuda':
        return 'interpreter'
    major, minor = torch.cuda.get_device_capability(device)
    return f'{torch.cuda.get_device_name(device)} (sm_{major}{minor})'


@functools.cache
def outcome(
    backend: Backend, spec: NormSpec, dtype: torch.dtype, device: torch.device
) -> Outcome:
    """Check the kernels, unless that was done in an earlier process."""
    file = _file(spec, dtype, device)
    if file is not None:
        try:
            return Outcome(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            pass  # never checked, or by another version
    found = Outcome(*check(backend, spec, dtype, device))
    if file is not None and not found.failure:
        _keep(found, file)
    return found


@functools.cache
def _text() -> str:
    """Return a hash of the code of the kernels and of the check."""
    key = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob('*.py')):
        key.update(path.read_bytes())
    return key.hexdigest()


def _file(
    spec: NormSpec, dtype: torch.dtype, device: torch.device
) -> Path | None:
    """Return where the outcome is kept, None if there is no place for it."""
    named = os.environ.get('XDG_CACHE_HOME')
    try:
        folder = Path(named) if named else Path.home() / '.cache'
    except RuntimeError:  # no home
        return None
    parts = (
        *(spec, dtype, chip(device), torch.__version__, torch.version.cuda),
        *(triton.__version__, _text()),
    )
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    return folder / 'whiten_plugins' / 'checks' / f'{key[:16]}.json'


def _keep(found: Outcome, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            made = Path(folder) / file.name
            made.write_text(json.dumps(vars(found)))
            made.replace(file)
    except OSError:
        pass  # the next process checks again
