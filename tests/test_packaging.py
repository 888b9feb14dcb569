"""What installing the package brings, and that its parts agree."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

import pytest

import whiten_plugins

ROOT = Path(__file__).parents[1]
FORKS = {'onedl-mmengine': 'mmengine', 'onedl-mmcv': 'mmcv'}
TOOLKITS = re.compile('(onedl-)?(mm|opencv)')


def requirements(metadata):
    """The name and the extra (or '') of every requirement."""
    for line in metadata.get_all('Requires-Dist'):
        extra = re.search(r"""extra == ["'](.*?)["']""", line)
        name = re.match(r'[\w.-]+', line)[0]
        yield name, extra[1] if extra else ''


def write_wheel(folder, name, modules):
    """A pure wheel of modules that hold the name of what brought them."""
    record = f'{name.replace("-", "_")}-99.dist-info'
    files = {f'{module}.py': f'source = {name!r}\n' for module in modules}
    files[f'{record}/METADATA'] = (
        f'Metadata-Version: 2.1\nName: {name}\nVersion: 99\n'
    )
    files[f'{record}/WHEEL'] = (
        'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
    )
    files[f'{record}/RECORD'] = ''.join(
        f'{file},,\n' for file in [*files, f'{record}/RECORD']
    )
    path = folder / f'{name.replace("-", "_")}-99-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as wheel:
        for file, content in files.items():
            wheel.writestr(file, content)


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel of this checkout."""
    # Not imported: setuptools refuses to where distutils was before it.
    if int(version('setuptools').partition('.')[0]) < 77:
        pytest.skip('setuptools 77 or newer builds the wheel')
    source = tmp_path_factory.mktemp('source') / 'project'
    leave = shutil.ignore_patterns(
        '.*', 'tests', 'data', 'work_dirs', 'build', '*.egg-info'
    )
    shutil.copytree(ROOT, source, ignore=leave)
    built = subprocess.run(
        [
            sys.executable,
            '-c',
            'import sys; from setuptools import build_meta;'
            'print(build_meta.build_wheel(sys.argv[1]))',
            '..',
        ],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return source.parent / built.stdout.splitlines()[-1]


@pytest.fixture(scope='module')
def metadata(wheel):
    with zipfile.ZipFile(wheel) as opened:
        name = next(n for n in opened.namelist() if n.endswith('/METADATA'))
        return Parser().parsestr(opened.read(name).decode())


def test_torch_and_numpy_are_all_that_is_always_needed(metadata):
    always = {name for name, extra in requirements(metadata) if not extra}
    assert always == {'torch', 'numpy'}


def test_only_the_extras_of_the_toolkits_bring_toolkits(metadata):
    bringing = {
        extra for name, extra in requirements(metadata) if TOOLKITS.match(name)
    }
    assert bringing == {'openmmlab', 'onedl'}
    forks = {n for n, extra in requirements(metadata) if extra == 'onedl'}
    assert not {'mmengine', 'mmcv', 'mmdet', 'mmsegmentation'} & forks


def test_installing_beside_a_fork_replaces_nothing(wheel, metadata, tmp_path):
    extras = {'report', 'export', 'mini'}
    index = tmp_path / 'index'
    index.mkdir()
    for name, extra in requirements(metadata):
        if not extra or extra in extras:
            write_wheel(index, name, [])
    for fork, module in FORKS.items():
        write_wheel(index, fork, [module])
        write_wheel(index, module, [module])  # what must not come
    environment = tmp_path / 'environment'
    subprocess.run([sys.executable, '-m', 'venv', environment], check=True)
    python = environment / 'bin' / 'python'
    # Nothing of this machine's configuration, no network.
    env = {k: v for k, v in os.environ.items() if not k.startswith('PIP_')}
    env.update(PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX='1')
    install = [python, '-m', 'pip', 'install', '--find-links', index]
    for wanted in (FORKS, [f'{wheel}[{",".join(sorted(extras))}]']):
        done = subprocess.run(
            [*install, *wanted], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    for fork, module in FORKS.items():
        found = subprocess.run(
            [python, '-c', f'import {module}; print({module}.source)'],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert found.stdout.strip() == fork
        records = environment.glob(f'lib/*/site-packages/{module}-*.dist-info')
        assert not list(records)


def test_one_version_everywhere(metadata):
    version = whiten_plugins.__version__
    assert metadata['Version'] == version
    cited = (ROOT / 'CITATION.cff').read_text()
    assert re.search(r'^version: (\S+)$', cited, re.M)[1] == version
    changes = (ROOT / 'CHANGELOG.md').read_text()
    assert re.search(r'^## \[(.*?)\]', changes, re.M)[1] == version


def locked(name):
    text = (ROOT / 'uv.lock').read_text()
    pattern = rf'^name = "{name}"\nversion = "(.*)"'
    return set(re.findall(pattern, text, re.M))


def test_pre_commit_has_the_ruff_of_the_lock():
    config = (ROOT / '.pre-commit-config.yaml').read_text()
    assert {re.search(r'rev: v(\S+)', config)[1]} == locked('ruff')


def test_lanes_are_locked_from_the_oldest_torch_to_the_newest():
    torch = {tuple(map(int, v.split('.')[:2])) for v in locked('torch')}
    assert min(torch) == (2, 1) and max(torch) >= (2, 15)
    numpy = {v.split('.')[0] for v in locked('numpy')}
    assert numpy == {'1', '2'}
    # It needs libGL; the headless one takes its place.
    assert not locked('opencv-python')
