"""A tiny run of each mini config, and the tools as a user starts them."""

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.visualization import Visualizer

from whiten_plugins.demo_data import make_mini_dataset

ROOT = Path(__file__).parents[2]

TINY = """
_base_ = '{base}'
train_cfg = dict(max_iters=2, val_interval=100)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='{data}/'),
)
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root='{data}/'),
)
val_cfg = val_dataloader = val_evaluator = None
"""
ANNOTATIONS = """
test_evaluator = dict(ann_file='{data}/annotations/instances_val2017.json')
"""


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory):
    """Returns the path of a mini config on two tiny training images."""
    folder = tmp_path_factory.mktemp('tiny')

    def write(architecture, format):
        path = folder / f'{architecture}_{format}.py'
        if not path.exists():
            data = folder / format
            make_mini_dataset(
                data, format, num_train=2, num_val=2, size=(64, 64)
            )
            mini = ROOT / 'configs' / 'mini'
            base = next(mini.glob(f'{architecture}_*{format}.py'))
            text = TINY + (ANNOTATIONS if format == 'coco' else '')
            path.write_text(text.format(base=base, data=data))
        return path

    return write


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs a tool; returns its exit code and what it wrote to stderr."""

    def run(tool, *args):
        path = ROOT / 'tools' / tool
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, args)])
        monkeypatch.setattr(os, 'environ', {**os.environ})
        for visualizer in (Visualizer, *Visualizer.__subclasses__()):
            visualizer._instance_dict.clear()  # as in a process of its own
        try:
            runpy.run_path(str(path), run_name='__main__')
            code = 0
        except SystemExit as exit:
            code = exit.code
        return code, capfd.readouterr().err

    return run


@pytest.fixture
def launch():
    """Runs a script that starts several processes; returns the result."""

    def launch(script, *args, cwd):
        with socket.socket() as sock:
            sock.bind(('127.0.0.1', 0))
            port = str(sock.getsockname()[1])
        env = {
            **os.environ,
            'PORT': port,
            'PYTHON': sys.executable,
            'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '-1',
        }
        return subprocess.run(
            ['bash', ROOT / 'tools' / script, *map(str, args)],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
        )

    return launch
