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
import shutil
import subprocess
import tempfile
from pathlib import Path

_FOLDER = Path(__file__).parent
_SOURCES = sorted(_FOLDER.glob('*.cpp'))
_HEADERS = sorted(_FOLDER.glob('*.h'))
_COMPILERS = ('c++', 'g++', 'clang++')
_FLAGS = (
    '-O3',
    '-march=native',
    '-std=c++17',
    '-fopenmp',
    '-fPIC',
    '-shared',
    '-fno-math-errno',
    '-fno-trapping-math',
)


class BuildError(RuntimeError):
    """The kernels cannot be compiled here; the message says why."""


def _compiler() -> str:
    named = os.environ.get('CXX')
    names = (named,) if named else _COMPILERS
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise BuildError(f'no C++ compiler found ({", ".join(names)})')


def _processor() -> str:
    """What ``-march=native`` depends on."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    names = ('model name', 'flags', 'Features')
    return '\n'.join(sorted({v for v in lines if v.startswith(names)}))


def _run(command: list[str]) -> str:
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise BuildError(f'{" ".join(command)} failed:\n{found.stderr}')
    return found.stdout


def _cache() -> Path:
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home) / 'whiten_plugins' / 'kernels'


@functools.cache
def library() -> Path:
    """The compiled kernels, compiled now if they are not there.

    Raises:
        BuildError: if there is no compiler, or it or the cache fails.
    """
    compiler = _compiler()
    key = hashlib.sha256()
    for part in (
        *(path.read_bytes() for path in _SOURCES + _HEADERS),
        _run([compiler, '--version']).encode(),
        ' '.join(_FLAGS).encode(),
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
            _run([compiler, *_FLAGS, *map(str, _SOURCES), '-o', str(made)])
            made.replace(target)
    except OSError as error:
        raise BuildError(f'cannot write {target}: {error}') from error
    return target
