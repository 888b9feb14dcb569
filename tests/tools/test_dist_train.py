"""tools/dist_train.sh and dist_test.sh: two processes, with gloo on a CPU."""

import json
import shutil

import pytest

pytest.importorskip('mmdet')

from tests.training import read_training


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
    hub = read_training(checkpoint)['message_hub']
    assert hub['runtime_info']['iter'] == 1

    tested = launch(
        'dist_test.sh', config, checkpoint, 2, *work_dir, *norm, cwd=tmp_path
    )
    assert tested.returncode == 0, tested.stderr
    assert 'coco/bbox_mAP' in tested.stdout


@pytest.fixture
def no_objects(tiny_config, tmp_path):
    """A config of Mask R-CNN whose images have no objects."""
    base = tiny_config('mask-rcnn', 'coco')
    data = tmp_path / 'data'
    shutil.copytree(base.parent / 'coco', data)
    for path in (data / 'annotations').glob('*.json'):
        found = json.loads(path.read_text())
        path.write_text(json.dumps({**found, 'annotations': []}))
    config = tmp_path / 'no_objects.py'
    config.write_text(
        f"_base_ = '{base}'\n"
        'train_dataloader = dict(dataset=dict(\n'
        f"    data_root='{data}/',\n"
        '    filter_cfg=dict(_delete_=True, filter_empty_gt=False),\n'
        '))\n'
    )
    return config


@pytest.mark.slow
@pytest.mark.parametrize('norm', ['SyncSN', 'SyncSW', 'SyncBW', 'SyncIBN'])
def test_three_processes_train_without_an_object(
    launch, no_objects, tmp_path, norm
):
    """The mask head sees no region on any of them, forward and backward."""
    options = ('--cfg-options', f'norm_cfg.type={norm}')
    work_dir = ('--work-dir', tmp_path / 'run')
    trained = launch(
        'dist_train.sh', no_objects, 3, *work_dir, *options, cwd=tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    assert 'loss: nan' not in trained.stdout
    state = read_training(tmp_path / 'run' / 'iter_2.pth')['state_dict']
    assert all(value.isfinite().all() for value in state.values())
    counts = {
        key: int(value)
        for key, value in state.items()
        if key.endswith('num_batches_tracked')
    }
    empty = {key: n for key, n in counts.items() if 'mask_head' in key}
    seen = {key: n for key, n in counts.items() if 'backbone' in key}
    assert empty and set(empty.values()) == {0}
    assert seen and set(seen.values()) == {2}


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
