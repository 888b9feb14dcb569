"""The wheel: everything that is needed is in it, and it works alone."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from whiten_plugins.cli import COMMANDS

ROOT = Path(__file__).parents[1]
SOURCES = (
    'LICENSE',
    'MANIFEST.in',
    'README.md',
    'configs',
    'model-index.yml',
    'pyproject.toml',
    'setup.py',
    'tools',
    'whiten_plugins',
    'examples',
    'benchmarks',
)
BUILD = (
    'from setuptools import build_meta\n'
    'build_meta.build_wheel("dist")\n'
    'build_meta.build_sdist("dist")'
)
# In somebody's project, another folder than that of any config.
USE = """
import sys
from pathlib import Path
import torch, whiten_plugins
from whiten_plugins.cli import COMMANDS, main
from mmengine.config import Config

target = Path(sys.argv[1])
assert Path(whiten_plugins.__file__).is_relative_to(target)
cfg = Config.fromfile('mine.py')
assert cfg.model.backbone.norm_cfg.type == 'SW'
assert cfg.default_scope == 'mmdet' and cfg.train_cfg.max_epochs == 3

def run(*argv):
    assert main(argv) == 0, argv

for command in COMMANDS:
    try:
        main([command, '--help'])
    except SystemExit as exit:
        assert exit.code == 0, command
small = 'whiten_plugins::mini/pspnet_r18-d8_sw_1xb16-1000i_mini-ade20k.py'
run('norms', small)
run('flops', small, '--shape', '64', '64')
model = whiten_plugins.build_model(whiten_plugins.load_config(small))
torch.save({'state_dict': model.state_dict()}, 'a.pth')
run('harden', 'a.pth', '--out', 'b.pth')
run('ratios', 'a.pth', 'b.pth', '--out', 'report')
itn = whiten_plugins.load_config(small, {'norm_cfg.type': 'ItN'})
torch.save(whiten_plugins.build_model(itn).state_dict(), 'itn.pth')
run('fold', small, 'itn.pth', '--out', 'c.pth', '--cfg-options',
    'norm_cfg.type=ItN')
"""


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """The wheel and the source distribution, built from a copy."""
    folder = tmp_path_factory.mktemp('build') / 'source'
    folder.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns('__pycache__')
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder)
    done = subprocess.run(
        [sys.executable, '-c', BUILD],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not [path for path in folder.rglob('*') if path.is_symlink()]
    assert not (folder / 'whiten_plugins' / '.mim').exists()
    (wheel,) = folder.glob('dist/*.whl')
    (sdist,) = folder.glob('dist/*.tar.gz')
    return wheel, sdist


@pytest.mark.slow
def test_what_is_inside(built):
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (n for n in names if n.endswith('entry_points.txt'))
        entry_points = archive.read(metadata).decode()
    assert 'whiten = whiten_plugins.cli:main' in entry_points
    mim = 'whiten_plugins/.mim/'
    configs = [p for p in (ROOT / 'configs').rglob('*') if p.is_file()]
    for path in configs:
        if '__pycache__' not in path.parts:
            assert f'{mim}{path.relative_to(ROOT)}' in names
    tools = {n.removeprefix(f'{mim}tools/') for n in names if 'tools/' in n}
    assert {'train.py', 'dist_train.sh', 'checkout.py'} <= tools
    assert not {'demo.py', 'benchmark.py'} & tools
    assert f'{mim}model-index.yml' in names
    assert 'whiten_plugins/py.typed' in names
    roots = {name.partition('/')[0] for name in names}
    assert {root for root in roots if 'dist-info' not in root} == {
        'whiten_plugins'
    }
    listed = subprocess.run(
        ['tar', 'tzf', sdist], capture_output=True, text=True, check=True
    ).stdout
    for name in ('configs/sw/metafile.yml', 'model-index.yml', 'setup.py'):
        assert f'/{name}\n' in listed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_works_from_a_bare_folder(built, tmp_path):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    target, project = tmp_path / 'target', tmp_path / 'project'
    project.mkdir()
    # What `pip install --no-deps --target` does with a pure wheel.
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(target)
    base = 'whiten_plugins::sw/mask-rcnn_r50_fpn_sw-all_1x_coco.py'
    text = f"_base_ = '{base}'\ntrain_cfg = dict(max_epochs=3)\n"
    (project / 'mine.py').write_text(text)
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', USE, target],
        cwd=project,
        env={**os.environ, 'PYTHONPATH': str(target)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for command in COMMANDS:
        assert f'usage: whiten {command} ' in done.stdout
    assert (project / 'report' / 'report.html').is_file()
    tool = target / 'whiten_plugins' / '.mim' / 'tools' / 'harden.py'
    done = subprocess.run(
        [sys.executable, tool, 'none.pth', '--out', 'd.pth'],
        cwd=project,
        env={**os.environ, 'PYTHONPATH': str(target)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == 'harden.py: error: none.pth: no such file\n'
