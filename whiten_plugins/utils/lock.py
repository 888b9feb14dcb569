"""One process at a time, however the others end."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 300.0
"""Seconds after which a process that holds the lock is taken for stuck."""

_INTERVAL = 0.05
_BUSY = (errno.EWOULDBLOCK, errno.EACCES)


@contextmanager
def locked(file: Path) -> Iterator[bool]:
    """Hold a lock; wait for the process that holds it.

    The system takes it from a process that ends in whatever way. From one
    that is stopped it does not: after :data:`PATIENCE` seconds, and where a
    file system has no locks, the body runs without, so what it does has to
    be right then too, if only twice.

    Args:
        file: is made if it is missing, and stays; or a folder that is there.

    Yields:
        Whether the lock is held; False where the body runs without.

    Raises:
        OSError: if the file cannot be opened.
    """
    # Not inherited by what the body executes, such as a compiler, which may
    # live longer than this process.
    descriptor = _open(file)
    try:
        yield _acquire(descriptor, PATIENCE)
    finally:
        os.close(descriptor)


@contextmanager
def if_free(folder: Path) -> Iterator[bool]:
    """Hold the lock of a folder if nobody else does, without waiting.

    Yields:
        Whether the lock is held.

    Raises:
        OSError: if the folder cannot be opened.
    """
    descriptor = _open(folder)
    try:
        yield _acquire(descriptor, 0)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    return os.open(path, flags | os.O_CLOEXEC, 0o666)


def _acquire(descriptor: int, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _BUSY or time.monotonic() >= end:
                return False
            time.sleep(_INTERVAL)
        else:
            return True
