"""Files of packages: cached, checked, never executed."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from whiten_plugins.utils import packages
from whiten_plugins.utils.packages import FetchError, Package, fetch

CONTENT = b'a wheel'
PACKAGE = Package(
    'pypi',
    'some',
    '1.0',
    'some-1.0-py3-none-any.whl',
    hashlib.sha256(CONTENT).hexdigest(),
    'MIT',
)


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """What the package manager does instead; returns its commands."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    commands = []

    def make(content=CONTENT, error=''):
        def run(command, **options):
            commands.append(command)
            (folder,) = (
                option.partition('=')[2]
                for option in command
                if option.startswith(('--dest=', '--pack-destination='))
            )
            if not error:
                (Path(folder) / PACKAGE.file).write_bytes(content)
            return subprocess.CompletedProcess(command, bool(error), '', error)

        monkeypatch.setattr(packages.subprocess, 'run', run)
        return commands

    return make


def test_fetched_once_and_kept(registry, tmp_path):
    commands = registry()
    file = fetch(PACKAGE)
    assert file == tmp_path / 'whiten_plugins' / 'packages' / PACKAGE.file
    assert file.read_bytes() == CONTENT
    assert fetch(PACKAGE) == file
    (command,) = commands
    assert command[-1] == 'some==1.0'
    assert {'--no-deps', '--only-binary=:all:'} <= {*command}
    file.write_bytes(b'damaged')
    assert fetch(PACKAGE).read_bytes() == CONTENT
    assert len(commands) == 2


def test_another_file_is_not_used(registry, tmp_path):
    registry(content=b'another')
    with pytest.raises(FetchError, match='some==1.0: .* its SHA-256 is'):
        fetch(PACKAGE)
    assert not [path for path in tmp_path.rglob('*') if path.is_file()]


def test_without_a_network_it_says_what_works(registry, tmp_path):
    registry(error='retrying\nERROR: No matching distribution\n')
    with pytest.raises(FetchError) as caught:
        fetch(PACKAGE)
    message = str(caught.value)
    assert '(ERROR: No matching distribution)' in message
    assert f'place {PACKAGE.file} into {packages.cache_folder()}' in message
    assert '\n' not in message


def test_npm_packs_without_scripts(registry, monkeypatch):
    commands = registry()
    monkeypatch.setattr(packages.shutil, 'which', lambda name: f'/bin/{name}')
    fetch(PACKAGE._replace(registry='npm'))
    (command,) = commands
    assert command[:3] == ['/bin/npm', 'pack', 'some@1.0']
    assert '--ignore-scripts' in command


@pytest.mark.parametrize(
    ('installed', 'found', 'command'),
    [
        (True, (), [sys.executable, '-m', 'pip']),
        (False, ('pip', 'uv'), ['/bin/pip']),
        (False, ('uv',), ['uv', 'tool', 'run', 'pip']),
    ],
)
def test_pip_is_found_where_it_is(monkeypatch, installed, found, command):
    monkeypatch.setattr(packages, 'find_spec', lambda name: installed or None)
    monkeypatch.setattr(
        packages.shutil,
        'which',
        lambda name: f'/bin/{name}' if name in found else None,
    )
    assert packages._pip() == command


def test_nothing_to_fetch_with_is_said(monkeypatch):
    monkeypatch.setattr(packages, 'find_spec', lambda name: None)
    monkeypatch.setattr(packages.shutil, 'which', lambda name: None)
    with pytest.raises(FetchError, match='pip is needed'):
        packages._pip()
