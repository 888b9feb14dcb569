"""Steps shown with what is done and the time left; details go to logs."""

import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from .checks import SetupError

# What pip and ninja say of where they are.
_ACTIVITY = re.compile(
    r'^\s*(Downloading \S+ \([^)]+\)|Installing collected packages'
    r'|\[(\d+)/(\d+)\])',
    re.MULTILINE,
)
# The first line of a log that tells why a command failed.
_REASON = re.compile(
    r'^(ERROR: .*|.*\berror: .*|[\w.]+(?:Error|Exception): .*)$', re.MULTILINE
)
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class Progress:
    """Runs the commands of a list of steps and tells where they are.

    On a terminal one line is kept up to date, elsewhere a line is printed at
    the start and the end of a step and every half a minute.

    Args:
        seconds: Usual duration of each step, on two cores.
        logs: Directory for one log file a step.
        lock: File descriptor that the commands inherit, so that a lock on it
            lasts as long as any of them.
    """

    def __init__(self, seconds: Sequence[int], logs: Path, lock: int) -> None:
        self._seconds = seconds
        self._logs = logs
        self._lock = lock
        self._terminal = sys.stdout.isatty()
        self._interval = 1 if self._terminal else 30
        self._number = 0
        for old in logs.glob('*.log'):
            old.unlink()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce the next step, and that it is done."""
        self._number += 1
        self._title = title
        self._activity = ''
        self._fraction = 0.0
        self._started = self._shown = time.monotonic()
        name = re.sub(r'\W+', '-', title.lower()).strip('-')
        self._log = self._logs / f'{self._number}-{name}.log'
        self._print(f', {self._time_left()}')
        try:
            yield
        except BaseException:
            if self._terminal:
                print()
            raise
        self._print(f': done in {duration(self._elapsed())}')
        if self._terminal:
            print()

    def run(
        self, command: Sequence[str | Path], env: Mapping[str, str]
    ) -> None:
        """Run a command of the step.

        Raises:
            SetupError: The command failed; says why, and where its log is.
        """
        with (
            open(self._log, 'ab') as log,
            subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[self._lock],
                preexec_fn=_end_with_parent,
            ) as process,
        ):
            output = process.stdout.fileno()
            while True:
                if select.select([output], [], [], 1.0)[0]:
                    chunk = os.read(output, 1 << 16)
                    if not chunk:
                        break
                    log.write(chunk)
                    log.flush()
                    self._note(chunk.decode(errors='replace'))
                self._show_activity()
        if process.returncode:
            self._fail()

    def _note(self, text: str) -> None:
        for match in _ACTIVITY.finditer(text):
            self._activity = match[1]
            if match[2]:
                self._fraction = int(match[2]) / int(match[3])
                self._activity = f'file {match[2]} of {match[3]}'

    def _fail(self) -> None:
        reason = _REASON.search(self._log.read_text(errors='replace'))
        raise SetupError(
            f'{self._title} failed: {reason[1].strip() if reason else "?"} '
            f'(log: {self._log}); mend that and run this again, what is done '
            'is kept',
            exit_code=1,
        )

    def _show_activity(self) -> None:
        now = time.monotonic()
        if now - self._shown < self._interval:
            return
        self._shown = now
        activity = f', {self._activity}' if self._activity else ''
        took = duration(self._elapsed())
        self._print(f': {took}{activity}, {self._time_left()}')

    def _print(self, text: str) -> None:
        line = f'[{self._number}/{len(self._seconds)}] {self._title}{text}'
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f'\r\033[K{line[:width]}', end='', flush=True)
        else:
            print(line, flush=True)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _time_left(self) -> str:
        elapsed = self._elapsed()
        left = self._seconds[self._number - 1] - elapsed
        if self._fraction > 0.05:
            left = elapsed / self._fraction - elapsed
        left = max(left, 0) + sum(self._seconds[self._number :])
        if left < 1:
            return 'longer than usual'
        return f'about {duration(left)} left'


def _end_with_parent() -> None:
    """Have the kernel end this process when a killed set-up leaves it."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def duration(seconds: float) -> str:
    """Seconds as people say them: '45 s', '3 min 20 s'."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f'{rest} s'
    return f'{minutes} min {rest} s' if rest else f'{minutes} min'
