"""The set-up of the environments: its checks, its repairs, its stamp."""

import ast
import os
import re
import runpy
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from tools.environment import checks, mmcv
from tools.environment.checks import SetupError
from tools.environment.lanes import LANES, ROOT, Lane
from tools.environment.setup import Setup, forget_damaged

PROGRAM = ROOT / 'tools' / 'setup_env.py'
FINISHED = Path(sys.prefix, 'setup', 'stamp.json')

BACKEND = """
import pathlib, zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    name = 'whiten_plugins-0-py3-none-any.whl'
    info = 'whiten_plugins-0.dist-info/'
    with zipfile.ZipFile(pathlib.Path(directory, name), 'w') as wheel:
        wheel.writestr('whiten_plugins.pth', str(pathlib.Path.cwd()))
        wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\n'
                       'Name: whiten_plugins\\nVersion: 0\\n')
        wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\n'
                       'Root-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr(info + 'RECORD', '')
    return name
"""


def normalized(name):
    return re.sub(r'[-_.]+', '-', name).lower()


def pins_of(path):
    lines = (line.split('#')[0].strip() for line in path.open())
    return dict(line.split('==') for line in lines if line)


def write_wheel(directory, name, version):
    """A pure wheel of one module, that holds its own version."""
    record = f'{name}-{version}.dist-info'
    files = {
        f'{name}.py': f'version = {version!r}\n',
        f'{record}/METADATA': 'Metadata-Version: 2.1\n'
        f'Name: {name}\nVersion: {version}\n',
        f'{record}/WHEEL': 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\n'
        'Tag: py3-none-any\n',
    }
    listed = [*files, f'{record}/RECORD']
    files[f'{record}/RECORD'] = ''.join(f'{file},,\n' for file in listed)
    path = directory / f'{name}-{version}-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as wheel:
        for file, content in files.items():
            wheel.writestr(file, content)


@pytest.fixture
def bare_pip(monkeypatch):
    """pip without the configuration of this machine."""
    for name in [name for name in os.environ if name.startswith('PIP_')]:
        monkeypatch.delenv(name)
    monkeypatch.setenv('PIP_CONFIG_FILE', os.devnull)


@pytest.fixture
def lane(tmp_path, monkeypatch, bare_pip):
    """A project with two packages, installable without a network."""
    index = tmp_path / 'index'
    index.mkdir()
    for name, version in (('six', '1'), ('six', '2'), ('toolkit', '1')):
        write_wheel(index, name, version)
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(index))
    root = tmp_path / 'project'
    (root / 'whiten_plugins').mkdir(parents=True)
    (root / 'whiten_plugins' / '__init__.py').touch()
    (root / 'backend.py').write_text(BACKEND)
    (root / 'pyproject.toml').write_text(
        '[build-system]\nrequires = []\n'
        'build-backend = "backend"\nbackend-path = ["."]\n'
    )
    (root / 'requirements.txt').write_text('six\n')
    (root / 'constraints.txt').write_text('six==1\ntoolkit==1\ntorch==1\n')
    return Lane(
        venv='.venv',
        requirements='requirements.txt',
        openmmlab=('toolkit',),
        mmcv=False,
        imports=('six', 'toolkit'),
        packages_seconds=1,
        disk_gb=0,
        root=root,
    )


def installed(venv, module):
    code = f'import {module}; print({module}.version)'
    return subprocess.run(
        [venv / 'bin' / 'python', '-c', code],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


class TestProgram:
    def test_every_python_3_can_read_it(self):
        ast.parse(PROGRAM.read_text(), feature_version=(3, 6))

    @pytest.mark.parametrize('version', [(3, 8, 18), (3, 9, 0), (3, 13, 0)])
    def test_another_python_gets_one_line(self, version, monkeypatch, capsys):
        monkeypatch.setattr(sys, 'version_info', version)
        monkeypatch.setattr(sys, 'argv', ['setup_env.py'])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(PROGRAM), run_name='__main__')
        message = capsys.readouterr().err
        assert end.value.code == 2
        assert message.count('\n') == 1
        assert '.'.join(map(str, version)) in message
        assert '3.10, 3.11 or 3.12' in message


class TestChecks:
    def test_missing_venv_module(self, monkeypatch):
        monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
        with pytest.raises(SetupError, match=r'apt install python3\.\d+-venv'):
            checks.check_venv_module()

    def test_missing_compiler(self, monkeypatch, tmp_path):
        monkeypatch.setenv('PATH', str(tmp_path))
        monkeypatch.delenv('CXX', raising=False)
        with pytest.raises(SetupError, match=r'apt install g\+\+'):
            checks.check_compiler()

    def test_missing_headers(self, monkeypatch, tmp_path):
        monkeypatch.setenv('CXX', sys.executable)
        monkeypatch.setattr('sysconfig.get_path', lambda name: str(tmp_path))
        with pytest.raises(SetupError, match=r'apt install python3\.\d+-dev'):
            checks.check_compiler()

    def test_too_little_disk(self, tmp_path):
        with pytest.raises(SetupError, match='GB of free space'):
            checks.check_disk(tmp_path / 'not' / 'yet', needed_gb=10**9)

    def test_no_network(self, tmp_path, monkeypatch, bare_pip):
        monkeypatch.setenv('PIP_INDEX_URL', 'http://127.0.0.1:9/simple')
        with pytest.raises(SetupError, match='refused'):
            checks.check_index(
                Path(sys.executable), ROOT / 'constraints.txt', tmp_path
            )

    def test_directory_of_the_user_is_not_written_into(self, tmp_path):
        (tmp_path / 'thesis.tex').touch()
        with pytest.raises(SetupError, match='no virtual environment'):
            checks.check_venv(tmp_path)

    def test_environment_of_another_python_is_kept(self, tmp_path):
        (tmp_path / 'pyvenv.cfg').write_text('version = 3.9.18\n')
        with pytest.raises(SetupError, match=r'Python 3\.9'):
            checks.check_venv(tmp_path)

    def test_begun_environment_is_continued(self, tmp_path):
        (tmp_path / 'setup').mkdir()
        (tmp_path / 'setup' / 'lock').touch()
        (tmp_path / 'include').mkdir()
        checks.check_venv(tmp_path)


class TestPins:
    @pytest.mark.parametrize('name', LANES)
    def test_every_requirement_has_a_version(self, name):
        pins = {normalized(pin) for pin in pins_of(ROOT / 'constraints.txt')}
        for line in (ROOT / LANES[name].requirements).read_text().split('\n'):
            requirement = line.split('#')[0].strip()
            assert (
                not requirement or '==' in requirement or requirement in pins
            )
        assert set(LANES[name].openmmlab) <= pins

    @pytest.mark.skipif(
        not FINISHED.exists(), reason='not an environment of the set-up'
    )
    def test_environment_has_the_pinned_versions(self):
        pins = {
            normalized(name): version
            for name, version in pins_of(ROOT / 'constraints.txt').items()
        }
        for name in ('torch', 'torchvision'):
            pins[name] = LANES['default'].pin(name)
        found = {
            normalized(dist.name): dist.version.split('+')[0]
            for dist in metadata.distributions(
                path=[sysconfig.get_path('purelib')]
            )
        }
        for unpinned in ('pip', 'triton', 'whiten-plugins'):
            found.pop(unpinned, None)
        assert found.items() <= pins.items()


class TestWheelCache:
    def test_key_tells_torch_and_ops_apart(self):
        keys = {
            mmcv.wheel_directory(torch, ops)
            for torch in ('2.1.2', '2.12.1')
            for ops in ('cpu', 'cuda')
        }
        assert len(keys) == 4

    def test_place_follows_the_environment(self, monkeypatch, tmp_path):
        monkeypatch.delenv('WHITEN_PLUGINS_CACHE', raising=False)
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
        kept = mmcv.wheel_directory('2.1.2', 'cpu')
        assert kept.parent == tmp_path / 'xdg' / 'whiten_plugins' / 'wheels'
        monkeypatch.setenv('WHITEN_PLUGINS_CACHE', str(tmp_path / 'own'))
        kept = mmcv.wheel_directory('2.1.2', 'cpu')
        assert kept.parent == tmp_path / 'own' / 'wheels'

    def test_kept_wheel_is_found_and_nothing_else_is_left(self, tmp_path):
        built = tmp_path / 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'
        built.write_bytes(b'ops')
        kept = mmcv.keep_wheel(built, tmp_path / 'cache')
        assert mmcv.find_wheel(tmp_path / 'cache', '2.1.0') == kept
        assert mmcv.find_wheel(tmp_path / 'cache', '2.2.0') is None
        assert list((tmp_path / 'cache').iterdir()) == [kept]
        assert not built.exists()


class TestSetup:
    def test_damaged_package_is_forgotten_and_whole_one_kept(self, tmp_path):
        for name in ('half', 'whole', 'cut'):
            record = tmp_path / f'{name}-1.dist-info'
            record.mkdir()
            (tmp_path / f'{name}.py').touch()
            (record / 'RECORD').write_text(f'{name}.py,,\nabsent.pyc,,\n')
            (record / 'INSTALLER').write_text('pip\n')
        (tmp_path / 'half-1.dist-info' / 'INSTALLER').unlink()
        (tmp_path / 'cut.py').unlink()
        (tmp_path / '~hole-0.dist-info').mkdir()
        forget_damaged(tmp_path)
        records = [path.name for path in tmp_path.glob('*.dist-info')]
        assert records == ['whole-1.dist-info']

    def test_interrupted_set_up_is_repaired(self, lane, tmp_path, capsys):
        venv = tmp_path / 'env'
        failing = Setup(replace(lane, imports=('six', 'absent')), venv)
        with pytest.raises(SetupError) as failure:
            failing.ensure()
        assert failure.value.exit_code == 1
        assert "No module named 'absent'" in str(failure.value)
        assert '5-import-check.log' in str(failure.value)
        assert not failing.stamp.exists()
        assert installed(venv, 'six') == '1'

        (failing.site / 'toolkit.py').unlink()
        constraints = lane.constraints.read_text()
        lane.constraints.write_text(constraints.replace('six==1', 'six==2'))
        repaired = Setup(lane, venv)
        repaired.ensure()
        assert installed(venv, 'six') == '2'
        assert installed(venv, 'toolkit') == '1'
        assert not repaired.scratch.exists()
        assert '[5/5] Import check: done' in capsys.readouterr().out

        repaired.ensure()
        assert capsys.readouterr().out == f'{venv} is ready\n'
