"""tools/dist_train.sh and dist_test.sh: two processes, with gloo on a CPU."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip('mmdet')

TOOLS = Path(__file__).parents[2] / 'tools'


def _launch(script, *args, cwd):
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
        ['bash', TOOLS / script, *map(str, args)],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
    )


def test_two_processes_train_and_test(tiny_config, tmp_path):
    config = tiny_config('mask-rcnn', 'coco')
    work_dir = ('--work-dir', tmp_path / 'run')
    norm = ('--cfg-options', 'norm_cfg.type=SyncSW')

    trained = _launch(
        'dist_train.sh', config, 2, *work_dir, *norm, cwd=tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    assert 'Distributed training: True' in trained.stdout
    checkpoint = tmp_path / 'run' / 'iter_2.pth'
    hub = torch.load(checkpoint, weights_only=True)['message_hub']
    assert hub['runtime_info']['iter'] == 1

    tested = _launch(
        'dist_test.sh', config, checkpoint, 2, *work_dir, *norm, cwd=tmp_path
    )
    assert tested.returncode == 0, tested.stderr
    assert 'coco/bbox_mAP' in tested.stdout


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (('dist_train.sh', 'net.py'), 'usage: dist_train.sh CONFIG GPUS'),
        (('dist_train.sh', 'net.py', 'two'), "got 'two'"),
        (('dist_test.sh', 'net.py', 1), 'usage: dist_test.sh CONFIG'),
        (('dist_test.sh', 'net.py', 'x.pth', 0), "got '0'"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(args, message, tmp_path):
    result = _launch(*args, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
