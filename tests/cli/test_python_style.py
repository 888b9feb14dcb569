"""Every command takes a config whose types are classes."""

import subprocess
import sys

import pytest
import torch
from mmengine.config import Config

from tests.cli.python_style import python_style

pytest.importorskip('mmseg')

from mmseg.utils import register_all_modules

from whiten_plugins.config.building import build_model
from whiten_plugins.config.loading import load_config
from whiten_plugins.demo_data import make_mini_dataset

BASE = 'configs/mini/pspnet_r18-d8_sw_*_mini-ade20k.py'
SMALL = dict(
    train_cfg=dict(max_iters=2, val_interval=2),
    train_dataloader=dict(
        batch_size=2, num_workers=0, persistent_workers=False
    ),
    test_dataloader=dict(num_workers=0, persistent_workers=False),
    val_dataloader=dict(num_workers=0, persistent_workers=False),
    model=dict(backbone=dict(base_channels=16, stem_channels=16)),
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with net.py, its data and what a training of it wrote."""
    from tests.tools.conftest import ROOT

    folder = tmp_path_factory.mktemp('python_style')
    data = folder / 'data'
    make_mini_dataset(data, 'ade20k', num_train=2, num_val=2, size=(64, 64))
    register_all_modules(init_default_scope=False)
    base = next(ROOT.glob(BASE))
    for name, norm in (('net', 'SW'), ('folds', 'BW')):
        options = {'norm_cfg': dict(type=norm, num_pergroup=8, _delete_=True)}
        cfg = load_config(base, options)
        cfg.merge_from_dict(SMALL)
        cfg.model.decode_head.in_channels = 128
        cfg.model.auxiliary_head.in_channels = 64
        for loader in ('train', 'val', 'test'):
            cfg[f'{loader}_dataloader'].dataset.data_root = f'{data}/'
        (folder / f'{name}.py').write_text(python_style(cfg, 'mmseg'))
        torch.save(build_model(cfg).state_dict(), folder / f'{name}.pth')
    ran = command(folder, 'train', 'net.py', '--work-dir', 'run', '--amp')
    assert ran.returncode == 0, ran.stderr
    return folder


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, '-m', 'whiten_plugins', *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    'arguments',
    [
        'test net.py run/iter_2.pth --work-dir tested --out predictions',
        'norms net.py',
        'diagnose net.py run/iter_2.pth --batches 1 --out diagnosed',
        'ratios run',
        'ratios run/iter_2.pth --config net.py --out ratios',
        'calibrate net.py run/iter_2.pth --out calibrated.pth --num-images 2',
        'harden run/iter_2.pth --out hard.pth',
        'fold folds.py folds.pth --out folded.pth',
        'onnx net.py run/iter_2.pth --out net.onnx --shape 64 64',
        'flops net.py --shape 64 64',
        'convert run/iter_2.pth converted.pth --config net.py',
    ],
    ids=lambda text: ' '.join(text.split()[:2]),
)
def test_command_takes_a_config_in_the_pure_python_style(folder, arguments):
    ran = command(folder, *arguments.split())
    assert 'Traceback' not in ran.stderr
    if arguments.startswith('convert'):  # that of a segmentor is refused
        assert ran.returncode == 2 and len(ran.stderr.splitlines()) == 1
    else:
        assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_what_fold_writes_loads_again(folder):
    config = folder / 'folded.py'
    if not config.exists():
        command(folder, *'fold folds.py folds.pth --out folded.pth'.split())
    assert Config.fromfile(config).model
    ran = command(
        folder, 'test', 'folded.py', 'folded.pth', '--work-dir', 'refolded'
    )
    assert ran.returncode == 0, ran.stderr
