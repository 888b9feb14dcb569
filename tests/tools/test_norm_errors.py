"""A norm that cannot normalize what it gets, as users of the tools see it."""

import pytest

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')


def test_one_image_a_process_with_pooled_maps(run, tiny_config, tmp_path):
    config = tiny_config('pspnet', 'ade20k')
    options = ('--cfg-options', 'norm_cfg.type=SW')
    code, error = run(
        'train.py',
        config,
        '--work-dir',
        tmp_path,
        *options,
        'train_dataloader.batch_size=1',
        'model.decode_head.pool_scales=(1,2,3,6)',
    )
    assert code == 2
    last = error.strip().splitlines()[-1]
    assert last.startswith(
        'train.py: error: model.decode_head.norm_cfg: '
        'decode_head.psp_modules.0.1.bn (SW): Expected more than 1 value'
    )
    for remedy in ('larger batch', 'Sync', 'ln'):
        assert remedy in last
