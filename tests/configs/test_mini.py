"""configs/mini: one norm_cfg stands everywhere in the network."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from whiten_plugins.config.loading import load_config
from whiten_plugins.norms import NORMS

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
PSPNET = {'backbone': 22, 'decode_head': 5, 'auxiliary_head': 1}
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


@pytest.mark.parametrize('architecture', ['mask-rcnn', 'pspnet'])
@pytest.mark.parametrize(
    ('norm', 'built'), [('BN', 'BatchNorm2d'), ('SN', 'SN'), ('GW', 'GW')]
)
def test_every_norm_is_the_one_of_the_command_line(architecture, norm, built):
    path = next(MINI.glob(f'{architecture}*.py'))
    counts, parts = _norms_of(path, norm)
    expected = {part: {built: count} for part, count in parts.items()}
    assert counts == {**expected, 'elsewhere': {}}


def test_every_config_is_checked():
    names = {path.name.split('_')[0] for path in CONFIGS}
    assert names == set(PARTS)
