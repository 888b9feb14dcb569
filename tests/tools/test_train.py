"""tools/train.py and tools/test.py on every kind of config."""

import json
import math
import pickle

import pytest
import torch

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from tests.training import read_training


def _checkpoint(work_dir, iteration):
    return read_training(work_dir / f'iter_{iteration}.pth')


def _losses(checkpoint):
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    return history.data[0].tolist()


def _metrics(work_dir):
    """What mmengine wrote beside its last log: the metrics of the test."""
    return max(work_dir.glob('20*/20*.json')).read_text()


def test_detector_is_trained_resumed_and_tested(run, tiny_config, tmp_path):
    config = tiny_config('mask-rcnn', 'coco')
    work_dir = ('--work-dir', tmp_path)
    assert run('train.py', config, *work_dir)[0] == 0
    first = _losses(_checkpoint(tmp_path, 2))

    options = ('--cfg-options', 'train_cfg.max_iters=3')
    assert run('train.py', config, *work_dir, '--resume', *options)[0] == 0
    resumed = _losses(_checkpoint(tmp_path, 3))
    assert len(resumed) == 3
    assert resumed[:2] == first

    out = tmp_path / 'predictions.pkl'
    code, _ = run(
        'test.py', config, tmp_path / 'iter_3.pth', *work_dir, '--out', out
    )
    assert code == 0
    assert len(pickle.loads(out.read_bytes())) == 2
    assert 'coco/segm_mAP' in _metrics(tmp_path)


def test_segmentor_is_trained_and_tested(run, tiny_config, tmp_path):
    config = tiny_config('pspnet', 'ade20k')
    work_dir = ('--work-dir', tmp_path)
    assert run('train.py', config, *work_dir)[0] == 0
    checkpoint = tmp_path / 'iter_2.pth'
    out, pictures = tmp_path / 'labels', tmp_path / 'pictures'
    code, _ = run(
        'test.py',
        config,
        checkpoint,
        *work_dir,
        '--out',
        out,
        '--show-dir',
        pictures,
        '--tta',
    )
    assert code == 0
    assert len(list(out.glob('*.png'))) == 2
    assert len(list(pictures.rglob('*.png'))) == 2
    assert 'mIoU' in _metrics(tmp_path)


@pytest.mark.parametrize(
    ('architecture', 'format'),
    [('mask-rcnn', 'coco'), ('deeplabv3', 'cityscapes')],
)
def test_mixed_precision(run, tiny_config, tmp_path, architecture, format):
    config = tiny_config(architecture, format)
    options = ('--cfg-options', 'randomness.seed=0')
    losses = {}
    for amp in ('--amp', '--auto-scale-lr'):
        work_dir = tmp_path / amp
        code, _ = run(
            'train.py', config, '--work-dir', work_dir, amp, *options
        )
        assert code == 0
        checkpoint = _checkpoint(work_dir, 2)
        weights = checkpoint['state_dict'].values()
        assert all(w.dtype != torch.bfloat16 for w in weights)
        losses[amp] = _losses(checkpoint)[0]
    low, full = losses.values()
    assert low != full
    assert math.isclose(low, full, rel_tol=0.05)


@pytest.mark.parametrize(
    ('tool', 'args', 'message'),
    [
        ('train.py', ['none.py'], 'no such config file: none.py'),
        ('train.py', ['CONFIG', '--cfg-options', 'a'], "got 'a'"),
        (
            'train.py',
            ['CONFIG', '--cfg-options', 'norm_cfg.type=XX'],
            "norm_cfg.type='XX' is not registered",
        ),
        ('train.py', ['CONFIG', '--resume', 'none.pth'], 'none.pth'),
        ('train.py', ['CONFIG', '--launcher', 'pytorch'], 'dist_train.sh'),
        ('test.py', ['none.py', 'none.pth'], 'no such config file: none.py'),
        ('test.py', ['CONFIG', 'none.pth'], 'no such checkpoint: none.pth'),
        (
            'train.py',
            [
                'CONFIG',
                '--cfg-options',
                'train_dataloader.dataset.data_root=x',
            ],
            'No such file or directory',
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run, tiny_config, tmp_path, tool, args, message
):
    config = str(tiny_config('mask-rcnn', 'coco'))
    args = [config if arg == 'CONFIG' else arg for arg in args]
    code, error = run(tool, *args, '--work-dir', tmp_path)
    assert code == 2
    last = error.strip().splitlines()[-1]
    assert last.startswith(f'{tool}: error: ')
    assert message in last
    assert 'Traceback' not in error


def test_several_test_sets_end_in_one_table(run, tiny_config, tmp_path):
    config = tiny_config('pspnet', 'ade20k')
    several = tmp_path / 'several.py'
    several.write_text(
        f"_base_ = '{config}'\n"
        'test_sets = dict(\n'
        '    own=dict(seen=True, dataset=_base_.test_dataloader.dataset),\n'
        '    shifted=dict(dataset=_base_.test_dataloader.dataset),\n'
        ')\n'
    )
    work_dir = ('--work-dir', tmp_path)
    assert run('train.py', config, *work_dir)[0] == 0
    args = (several, tmp_path / 'iter_2.pth', *work_dir, '--test-sets')
    assert run('test.py', *args, 'own', 'shifted')[0] == 0
    (saved,) = tmp_path.glob('*/test_sets.json')
    results = json.loads(saved.read_text())
    assert results['own'] == results['shifted']
    assert 0 <= results['own']['mIoU'] <= 100

    code, error = run('test.py', *args, 'nothing')
    assert code == 2
    assert "test set 'nothing' is neither in test_sets" in error
    code, error = run('test.py', *args, 'own', '--tta')
    assert code == 2
    assert '--tta is of one test set' in error
