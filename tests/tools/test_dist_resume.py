"""tools/dist_train.sh: a run resumed half-way is the run that went on."""

import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from tests.training import read_training

SETTINGS = (
    'randomness.seed=0',
    'train_cfg.max_iters=4',
    'default_hooks.checkpoint.interval=2',
    'default_hooks.checkpoint.max_keep_ckpts=-1',
    # One image a process: 1×1 pooled maps have statistics over processes.
    'train_dataloader.batch_size=1',
    # mmengine's checkpoints do not hold the state of random numbers.
    'model.decode_head.dropout_ratio=0',
    'model.auxiliary_head.dropout_ratio=0',
)


def _train(launch, config, work_dir, *args, norm):
    result = launch(
        'dist_train.sh',
        config,
        2,
        '--work-dir',
        work_dir,
        *args,
        '--cfg-options',
        f'norm_cfg.type={norm}',
        *SETTINGS,
        cwd=work_dir.parent,
    )
    assert result.returncode == 0, result.stderr
    return read_training(work_dir / 'iter_4.pth')


def _losses(checkpoint):
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    return history.data[0].tolist()


@pytest.mark.parametrize(
    'norm', ['SyncSW', pytest.param('SyncSN', marks=pytest.mark.slow)]
)
def test_resumed_run_equals_an_uninterrupted_one(
    launch, tiny_config, tmp_path, norm
):
    config = tiny_config('pspnet', 'ade20k')
    whole = _train(launch, config, tmp_path / 'whole', norm=norm)
    half = tmp_path / 'whole' / 'iter_2.pth'
    resumed = _train(
        launch, config, tmp_path / 'resumed', '--resume', half, norm=norm
    )
    assert len(_losses(whole)) == 4
    assert len(set(_losses(whole))) == 4
    assert _losses(resumed) == _losses(whole)
    for name, value in whole['state_dict'].items():
        assert torch.equal(resumed['state_dict'][name], value), name
