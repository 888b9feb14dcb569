"""Files out of published packages: fetched, checked, never executed.

The package managers find the registry that the user has set up. A file is
kept in ``$XDG_CACHE_HOME/whiten_plugins/packages`` (by default in
``~/.cache``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .files import check_folder, staging_folder

_TIMEOUT = 900  # seconds, for 100 MB


class Package(NamedTuple):
    """A file that a registry has.

    Attributes:
        registry: 'pypi' or 'npm'.
        name: name of the package.
        version: its version.
        file: name of the file, a wheel or an archive of npm.
        sha256: of the file.
        licence: as its authors state it.
    """

    registry: str
    name: str
    version: str
    file: str
    sha256: str
    licence: str

    @property
    def requirement(self) -> str:
        """The package as its manager names it."""
        joint = '==' if self.registry == 'pypi' else '@'
        return f'{self.name}{joint}{self.version}'


class FetchError(OSError):
    """A package that could not be had, and what works instead."""


def fetch(package: Package) -> Path:
    """Return the file of a package, from the cache or its registry.

    Raises:
        FetchError: if it cannot be fetched, or is not the known file.
        OSError: if the cache cannot be written.
    """
    folder = cache_folder()
    file = folder / package.file
    if file.is_file() and _sha256(file) == package.sha256:
        return file
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with staging_folder(folder, '.fetch-') as made:
        _download(package, str(made), file)
        fetched = made / package.file
        found = _sha256(fetched) if fetched.is_file() else 'none'
        if found != package.sha256:
            raise FetchError(
                f'{package.requirement}: what the registry sends is not the '
                f'{package.file} that is known: its SHA-256 is {found}, not '
                f'{package.sha256}; it is not used'
            )
        os.replace(fetched, file)
    return file


def cache_folder() -> Path:
    """Return the folder in which fetched files are kept."""
    root = os.environ.get('XDG_CACHE_HOME')
    cache = Path(root) if root else Path.home() / '.cache'
    return cache / 'whiten_plugins' / 'packages'


def _download(package: Package, folder: str, file: Path) -> None:
    advice = f'place {package.file} into {file.parent}'
    try:
        done = subprocess.run(
            _command(package, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise FetchError(
            f'{package.requirement}: was not fetched in {_TIMEOUT} s; try '
            f'again, or {advice}'
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ['no reason given']
        raise FetchError(
            f'{package.requirement}: cannot be fetched ({lines[-1].strip()}); '
            f'without a network, {advice}'
        )


def _command(package: Package, folder: str) -> list[str]:
    """Return the command that downloads a package and runs none of it."""
    if package.registry == 'npm':
        return [
            *_found('npm'),
            'pack',
            package.requirement,
            '--ignore-scripts',
            '--fetch-retries=1',
            f'--pack-destination={folder}',
        ]
    return [
        *_pip(),
        'download',
        '--no-deps',
        '--only-binary=:all:',  # building a source package would execute it
        '--disable-pip-version-check',
        '--retries=1',
        f'--dest={folder}',
        package.requirement,
    ]


def _pip() -> list[str]:
    if find_spec('pip') is not None:
        return [sys.executable, '-m', 'pip']
    # An environment of uv has none, but uv.
    if shutil.which('pip') is None and shutil.which('uv') is not None:
        return ['uv', 'tool', 'run', 'pip']
    return _found('pip')


def _found(program: str) -> list[str]:
    path = shutil.which(program)
    if path is None:
        raise FetchError(f'{program} is needed to fetch packages: install it')
    return [path]


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open('rb') as content:
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest()
