"""tools/dist_train.sh and dist_test.sh: two processes, with gloo on a CPU."""

import pytest
import torch

pytest.importorskip('mmdet')


def test_two_processes_train_and_test(launch, tiny_config, tmp_path):
    config = tiny_config('mask-rcnn', 'coco')
    work_dir = ('--work-dir', tmp_path / 'run')
    norm = ('--cfg-options', 'norm_cfg.type=SyncSW')

    trained = launch(
        'dist_train.sh', config, 2, *work_dir, *norm, cwd=tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    assert 'Distributed training: True' in trained.stdout
    checkpoint = tmp_path / 'run' / 'iter_2.pth'
    hub = torch.load(checkpoint, weights_only=True)['message_hub']
    assert hub['runtime_info']['iter'] == 1

    tested = launch(
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
def test_bad_arguments_are_one_line_and_exit_code_2(
    launch, args, message, tmp_path
):
    result = launch(*args, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
