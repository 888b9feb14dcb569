"""What must be true of a machine before anything is installed.

Every check raises a SetupError whose one line says what to do.
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PYTHON = 'python{}.{}'.format(*sys.version_info)


class SetupError(Exception):
    """The set-up cannot go on; the message is one line for the user."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def check_venv_module() -> None:
    for module in ('venv', 'ensurepip'):
        if importlib.util.find_spec(module) is None:
            raise SetupError(
                f'{sys.executable} has no {module} module: install it '
                f'(Debian, Ubuntu: apt install {PYTHON}-venv)'
            )


def check_compiler() -> None:
    """mmcv's ops are compiled: a C++ compiler and Python's headers."""
    compiler = shlex.split(os.environ.get('CXX', 'c++'))[0]
    if shutil.which(compiler) is None:
        raise SetupError(
            f'no C++ compiler ({compiler} not found), and mmcv is built '
            'here: install one (Debian, Ubuntu: apt install g++) or name it '
            'in CXX'
        )
    include = sysconfig.get_path('include')
    if not Path(include, 'Python.h').is_file():
        raise SetupError(
            f'no Python.h in {include}, and mmcv is built here: install the '
            f'headers of Python (Debian, Ubuntu: apt install {PYTHON}-dev)'
        )


def check_disk(venv: Path, needed_gb: int) -> None:
    place = next(path for path in (venv, *venv.parents) if path.exists())
    free_gb = shutil.disk_usage(place).free / 1e9
    if free_gb < needed_gb:
        raise SetupError(
            f'{place} has {free_gb:.1f} GB of free space, and the '
            f'environment needs {needed_gb}: free some, or set it up on '
            'another disk with --venv DIR'
        )


def is_foreign(directory: Path) -> bool:
    """Whether a directory holds what no set-up began to make."""
    begun = (directory / 'setup' / 'lock').is_file()
    return directory.is_dir() and not begun and any(directory.iterdir())


def check_venv(venv: Path) -> None:
    """Nothing but an environment of this Python is ever written into."""
    config = venv / 'pyvenv.cfg'
    if config.is_file():
        found = re.search(
            r'^version\s*=\s*(\d+\.\d+)', config.read_text(), re.M
        )
        here = '{}.{}'.format(*sys.version_info)
        if found and found[1] != here:
            raise SetupError(
                f'{venv} was made with Python {found[1]}, and this is '
                f'{here}: remove it (rm -r {shlex.quote(str(venv))}) or '
                f'name the other interpreter, PYTHON=python{found[1]}'
            )
    elif venv.is_file() or is_foreign(venv):
        raise SetupError(
            f'{venv} exists and is no virtual environment: move it away or '
            'choose another place with --venv DIR'
        )


def check_index(python: Path, constraints: Path, scratch: Path) -> None:
    """pip finds a package index, seen by fetching one of a few kilobytes."""
    fetch = subprocess.run(
        [python, '-I', '-m', 'pip', '--disable-pip-version-check']
        + ['--retries=1', '--timeout=15', '--no-cache-dir', 'download']
        + ['--no-deps', '--dest', scratch, '--constraint', constraints, 'six'],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if fetch.returncode:
        why = re.search(
            r"connection broken by '(.*)': /|ERROR: (.*)", fetch.stderr
        )
        said = why[1] or why[2] if why else 'nothing'
        raise SetupError(
            'pip reaches no package index: connect to the network, or give '
            'pip its proxy or index (pip says: '
            f'{re.sub("<[^>]*>[:,] ", "", said)})'
        )
