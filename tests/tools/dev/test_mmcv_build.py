"""mmcv's set-up script is corrected as it is run, and only there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('setuptools')
PATCH = Path(__file__).parents[3] / 'tools' / 'dev' / 'mmcv_build'
# What of mmcv 2.1's script the corrections are about.
SETUP = """
from setuptools import setup

try:
    import torch
    ops = 'torch'
except ModuleNotFoundError:
    ops = 'none'


def get_version():
    version_file = 'mmcv/version.py'
    with open(version_file, encoding='utf-8') as f:
        exec(compile(f.read(), version_file, 'exec'))
    return locals()['__version__']


print('SEEN', ['-std=c++17'][0], get_version(), ops)
setup(name='mmcv', version=get_version(), packages=[])
"""
BUILD = """
from setuptools import build_meta
print(build_meta.__legacy__.build_wheel('.'))
"""


def build(folder, torch=None, **variables):
    """Build a wheel as uv does, with a torch of that version installed."""
    site = folder.parent / 'site'
    if torch:
        record = site / f'torch-{torch}.dist-info'
        record.mkdir(parents=True)
        (record / 'METADATA').write_text(f'Name: torch\nVersion: {torch}\n')
        (site / 'torch.py').touch()
    result = subprocess.run(
        [sys.executable, '-c', BUILD],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': f'{PATCH}:{site}', **variables},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    line = next(x for x in result.stdout.splitlines() if x[:4] == 'SEEN')
    return line.split()[1:]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / 'source'
    (folder / 'mmcv').mkdir(parents=True)
    (folder / 'mmcv' / 'version.py').write_text("__version__ = '2.1.0'\n")
    (folder / 'setup.py').write_text(SETUP)
    return folder


@pytest.mark.parametrize(
    ('torch', 'standard'),
    [
        ('2.13.0', '-std=c++17'),
        ('2.14.1', '-std=c++20'),
        ('2.14.1+cu130', '-std=c++20'),
        ('3.0', '-std=c++20'),
    ],
)
def test_standard_follows_the_headers_of_torch(source, torch, standard):
    assert build(source, torch)[0] == standard


def test_version_is_read_also_where_exec_writes_no_locals(source):
    assert build(source, '2.14.1')[1] == '2.1.0'  # Python 3.13 and later
    assert (source / 'setup.py').read_text() == SETUP


def test_ops_can_be_left_out_without_another_name(source):
    ops = {'WHITEN_PLUGINS_MMCV_OPS': 'none'}
    assert build(source, '2.14.1', **ops)[2] == 'none'
    assert list(source.glob('mmcv-2.1.0*.whl'))


def test_other_packages_are_built_as_they_are(source):
    (source / 'mmcv' / 'version.py').rename(source / 'mmcv' / 'other.py')
    script = SETUP.replace('mmcv/version.py', 'mmcv/other.py').replace(
        "return locals()['__version__']", "return '1'"
    )
    (source / 'setup.py').write_text(script)
    assert build(source, '2.14.1')[0] == '-std=c++17'
