"""Compiles the kernels once for this processor and keeps the result.

The library lies in ``$XDG_CACHE_HOME/whiten_plugins/kernels`` (by default
``~/.cache``) under a name that changes with the source, the compiler and
the processor, so that machines which share a home directory do not meet
each other's.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

_FOLDER = Path(__file__).parent
_SOURCES = sorted(_FOLDER.glob('*.cpp'))
_HEADERS = sorted(_FOLDER.glob('*.h'))
_COMPILERS = ('c++', 'g++', 'clang++')
_NATIVE = '-march' if platform.machine() == 'x86_64' else '-mcpu'
_FLAGS = (
    '-O3',
    f'{_NATIVE}=native',
    '-std=c++17',
    '-fopenmp',
    '-fPIC',
    '-shared',
    '-fno-math-errno',
    '-fno-trapping-math',
)

_REMEDY = 'XDG_CACHE_HOME may name a folder that can be written'


class BuildError(RuntimeError):
    """The kernels cannot be compiled here; the message says why."""


def _compiler() -> list[str]:
    """Return the command of the C++ compiler.

    This is what ``CXX`` names, which may include options or a launcher
    before the compiler; without ``CXX``, the first known compiler found.
    """
    named = os.environ.get('CXX', '').strip()
    names = (named,) if named else _COMPILERS
    for name in names:
        command = shlex.split(name)
        if shutil.which(command[0]):
            return command
    raise BuildError(f'no C++ compiler found ({", ".join(names)})')


def _processor() -> str:
    """Describe the processor that the compiler sees as ``native``."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    names = ('model name', 'flags', 'Features')
    return '\n'.join(sorted({v for v in lines if v.startswith(names)}))


def _run(command: list[str]) -> str:
    try:
        found = subprocess.run(
            command, capture_output=True, text=True, errors='replace'
        )
    except OSError as error:
        raise BuildError(f'{command[0]} does not run: {error}') from error
    if found.returncode:
        raise BuildError(f'{" ".join(command)} failed:\n{found.stderr}')
    return found.stdout


def _cache() -> Path:
    named = os.environ.get('XDG_CACHE_HOME')
    try:
        folder = Path(named) if named else Path.home() / '.cache'
    except RuntimeError as error:
        raise BuildError(f'{error} {_REMEDY}') from error
    return folder / 'whiten_plugins' / 'kernels'


@functools.cache
def library() -> Path:
    """Return the path of the kernels; compile them if they are missing.

    Raises:
        BuildError: if there is no compiler, or it or the cache fails.
    """
    compiler = _compiler()
    key = hashlib.sha256()
    for part in (
        *(path.read_bytes() for path in _SOURCES + _HEADERS),
        _run([*compiler, '--version']).encode(),
        ' '.join([*compiler, *_FLAGS]).encode(),
        _processor().encode(),
    ):
        key.update(hashlib.sha256(part).digest())
    target = _cache() / f'{key.hexdigest()[:16]}.so'
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            _run([*compiler, *_FLAGS, *map(str, _SOURCES), '-o', str(made)])
            made.replace(target)
    except OSError as error:
        message = f'cannot write {target}: {error}. {_REMEDY}'
        raise BuildError(message) from error
    return target
