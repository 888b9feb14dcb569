"""Compiles the kernels once for this processor and keeps the result.

The library lies in ``$XDG_CACHE_HOME/whiten_plugins/kernels`` (by default
``~/.cache``) under a name that changes with the source, the compiler and
the processor, so that machines which share a home directory do not meet
each other's. It ends with a digest of itself and of its name: what is cut
off, damaged, or was copied from another processor is compiled again.

Of processes that start together one compiles and the others wait for it
(:mod:`~whiten_plugins.utils.lock`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
import warnings
from pathlib import Path

from ....utils.lock import locked

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
    except (OSError, MemoryError) as error:
        reason = str(error) or 'no memory is left'
        raise BuildError(f'{command[0]} does not run: {reason}') from error
    if found.returncode:
        reason = _ending(found.returncode)
        raise BuildError(f'{" ".join(command)} {reason}:\n{found.stderr}')
    return found.stdout


def _ending(status: int) -> str:
    if status == -signal.SIGKILL:  # what is out of memory says nothing itself
        return 'was killed, as where memory is short'
    return f'was ended by signal {-status}' if status < 0 else 'failed'


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
        b'with a digest',  # libraries of earlier versions have none
    ):
        key.update(hashlib.sha256(part).digest())
    target = _cache() / f'{key.hexdigest()[:16]}.so'
    try:
        if _is_whole(target):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_suffix('.lock')) as alone:
            if alone:
                _clear(target)
            if not _is_whole(target):  # the one before may have made it
                _compile(compiler, target)
    except OSError as error:
        message = f'cannot write {target}: {error}. {_REMEDY}'
        raise BuildError(message) from error
    return target


def _compile(compiler: list[str], target: Path) -> None:
    if target.exists():
        warnings.warn(
            f'{target} is damaged, or of another machine: it is compiled '
            'again',
            stacklevel=2,
        )
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=_staging(target)
    ) as folder:
        made = Path(folder) / target.name
        _run([*compiler, *_FLAGS, *map(str, _SOURCES), '-o', str(made)])
        code = made.read_bytes()
        made.write_bytes(code + _digest(code, target))
        made.replace(target)


def _staging(target: Path) -> str:
    return f'.{target.stem}-'


def _clear(target: Path) -> None:
    """Remove what compilations of these kernels left that were killed."""
    for folder in target.parent.glob(f'{_staging(target)}*'):
        shutil.rmtree(folder, ignore_errors=True)


def _digest(code: bytes, target: Path) -> bytes:
    return hashlib.sha256(target.name.encode() + code).digest()


def _is_whole(target: Path) -> bool:
    """Return whether a library is there, as it was compiled for here."""
    try:
        content = target.read_bytes()
    except FileNotFoundError:
        return False
    size = hashlib.sha256().digest_size
    return content[-size:] == _digest(content[:-size], target)
