"""configs/mini: one norm_cfg stands everywhere in the network."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from whiten_plugins.analysis import norm_warnings
from whiten_plugins.config.building import build_model
from whiten_plugins.config.loading import load_config
from whiten_plugins.demo_data import make_mini_dataset
from whiten_plugins.norms import NORMS
from whiten_plugins.runner.test_sets import check_test_sets, find_test_sets

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

MINI = Path(__file__).parents[2] / 'configs' / 'mini'
CONFIGS = sorted(MINI.glob('*.py'))
NORM_TYPES = (*NORMS, _BatchNorm, nn.GroupNorm, nn.LayerNorm)

# Norms in each part: those of a ResNet-18, of a lateral and an output
# convolution on each of four levels, of four convolutions in either head.
MASK_RCNN = {
    'backbone': 20,
    'neck': 8,
    'roi_head.bbox_head': 4,
    'roi_head.mask_head': 4,
}
# ResNet-18 with a deep stem; pooling branches, bottleneck; auxiliary head.
PSPNET = {'backbone': 22, 'decode_head': 4, 'auxiliary_head': 1}
DEEPLABV3 = {'backbone': 22, 'decode_head': 6, 'auxiliary_head': 1}
PARTS = {
    'mask-rcnn': MASK_RCNN,
    'pspnet': PSPNET,
    'deeplabv3': DEEPLABV3,
}


def _norms_of(path, norm):
    """Counts the norms of each type in each part of the built model."""
    cfg = load_config(path, {'norm_cfg.type': norm} if norm else None)
    parts = PARTS[path.name.split('_')[0]]
    counts = {part: Counter() for part in (*parts, 'elsewhere')}
    scope = DefaultScope.overwrite_default_scope(cfg.default_scope)
    with scope, torch.device('meta'):
        model = MODELS.build(cfg.model)
    for name, module in model.named_modules():
        if isinstance(module, NORM_TYPES):
            part = next((p for p in parts if name.startswith(p)), 'elsewhere')
            counts[part][type(module).__name__] += 1
    return counts, parts


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_norm_is_the_one_of_the_file_name(path):
    norm = 'SN' if '_sn_' in path.name else 'SW'
    counts, parts = _norms_of(path, None)
    expected = {part: {norm: count} for part, count in parts.items()}
    assert counts == {**expected, 'elsewhere': {}}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_no_norm_is_warned_of(path):
    cfg = load_config(path)
    with torch.device('meta'):
        model = build_model(cfg)
    assert norm_warnings(model, cfg) == []


@pytest.mark.parametrize('architecture', ['mask-rcnn', 'pspnet'])
@pytest.mark.parametrize(
    ('norm', 'built'), [('BN', 'BatchNorm2d'), ('SN', 'SN'), ('GW', 'GW')]
)
def test_every_norm_is_the_one_of_the_command_line(architecture, norm, built):
    path = next(MINI.glob(f'{architecture}*.py'))
    counts, parts = _norms_of(path, norm)
    expected = {part: {built: count} for part, count in parts.items()}
    assert counts == {**expected, 'elsewhere': {}}


@pytest.mark.parametrize('format', ['ade20k', 'cityscapes'])
def test_segmentors_have_test_sets_they_have_not_seen(
    format, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    make_mini_dataset(
        tmp_path / f'data/mini_{format}',
        format,
        num_train=1,
        num_val=1,
        size=(64, 64),
    )
    cfg = load_config(next(MINI.glob(f'pspnet*{format}.py')))
    sets = find_test_sets(cfg, ['*'])
    check_test_sets(cfg, sets)
    with DefaultScope.overwrite_default_scope('mmseg'):
        samples = [DATASETS.build(s.dataloader.dataset)[0] for s in sets]
    clean = samples[0]
    for item, sample in zip(sets[1:], samples[1:], strict=True):
        assert not item.seen
        assert not torch.equal(sample['inputs'], clean['inputs']), item.name
        assert torch.equal(
            sample['data_samples'].gt_sem_seg.data,
            clean['data_samples'].gt_sem_seg.data,
        )


def test_every_config_is_checked():
    names = {path.name.split('_')[0] for path in CONFIGS}
    assert names == set(PARTS)
