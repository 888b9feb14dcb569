"""The process of a command: its environment, and how it ends early."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

MESSAGE_LENGTH = 600
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the signal."""


def is_command(package: str) -> bool:
    """Return whether this process is the command of a package.

    Args:
        package: its name; the command is ``python -m`` this, or a script of
            the first part of the name.
    """
    script = Path(sys.argv[0]).stem if sys.argv else ''
    if script == package.partition('_')[0]:
        return True
    arguments = sys.orig_argv
    return '-m' in arguments and arguments[arguments.index('-m') + 1 :][
        :1
    ] == [package]


def refuse_subinterpreter(package: str) -> None:
    """See that this is the main interpreter of the process.

    In another one the import of torch ends the process without a word.

    Raises:
        ImportError: if it is a subinterpreter.
    """
    for name in ('_interpreters', '_xxsubinterpreters'):
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError(
                f'{package} cannot be imported in a subinterpreter, for torch '
                'cannot: use a process of its own, as multiprocessing does'
            )
        return


def prepare_environment() -> None:
    """Set what has to stand before torch and matplotlib are imported."""
    # Waiting threads that spin take the cores from everybody else's work:
    # on two busy cores a layer of 1 ms takes 70.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    # Notebooks have their children draw in the notebook's own page, which
    # they cannot reach, with a module that may not even be there.
    if os.environ.get('MPLBACKEND', '').startswith('module://'):
        os.environ['MPLBACKEND'] = 'agg'


@contextmanager
def termination_unwinds() -> Iterator[None]:
    """Let SIGTERM end this process as an exception does.

    What is temporary is removed on the way. Children of this process, such
    as the workers of a data loader, end as ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    process = os.getpid()

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        if os.getpid() != process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        # Once is enough: what cleans up is not to be interrupted.
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def one_line(error: BaseException) -> str:
    """Describe an error in one line of bounded length."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        message = f'{error.filename}: {error.strerror}'
    else:
        message = str(error) or type(error).__name__
    message = ' '.join(line.strip() for line in message.splitlines())
    if len(message) > MESSAGE_LENGTH:
        half = MESSAGE_LENGTH // 2
        message = f'{message[:half]} … {message[-half:]}'
    return message


def fail(prog: str, error: BaseException) -> NoReturn:
    """End this process with one line about an error, and exit code 2."""
    sys.stderr.write(f'{prog}: error: {one_line(error)}\n')
    raise SystemExit(2)
