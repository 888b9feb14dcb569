"""Norms placed in the backbone of a whole detector or segmentor."""

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from whiten_plugins.analysis import list_norms
from whiten_plugins.norms import SW
from whiten_plugins.placement import place_norms

from .models import assert_finite, build, images, small_config

pytestmark = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
    pytest.mark.filterwarnings('ignore:.*use_reentrant'),
]
STAGES = [32, 64, 128, 256]  # of a ResNet-50 with 8 base channels
# Everything at once that users combine with pre-trained backbones.
BACKBONE = dict(
    depth=50,
    norm_cfg=dict(type='BN', requires_grad=False),
    norm_eval=True,
    with_cp=True,
    dcn=dict(type='DCNv2', deform_groups=1, fallback_on_stride=False),
    stage_with_dcn=(False, True, True, True),
    whiten_cfg=dict(type='SW', num_pergroup=4),
    whiten_at='sw14',
)
MODEL_CHANGES = {
    'faster-rcnn': dict(
        backbone=dict(type='WhitenResNet', deep_stem=True, **BACKBONE),
        neck=dict(in_channels=STAGES),
    ),
    # Dilated, with a deep stem, as the mini config has it.
    'deeplabv3': dict(
        backbone=dict(type='WhitenResNetV1c', **BACKBONE),
        decode_head=dict(in_channels=STAGES[3]),
        auxiliary_head=dict(in_channels=STAGES[2]),
    ),
}


@pytest.mark.parametrize('architecture', MODEL_CHANGES)
def test_frozen_bn_stays_and_placed_norms_learn(architecture, data):
    changes = MODEL_CHANGES[architecture]
    cfg = small_config(architecture, dict(type='SN'), data, **changes)
    model, optim_wrapper = build(cfg)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    samples = images(cfg, 'train', (0, 1))
    assert_finite(model.train_step(samples, optim_wrapper))
    after = model.state_dict()
    changed = {
        name: not torch.equal(before[name], after[name]) for name in after
    }
    kinds = []
    for row in list_norms(model, cfg):
        kinds.append(row.type)
        names = [f'{row.name}.bias', f'{row.name}.running_mean']
        wanted = row.type != 'BN'
        assert [changed[name] for name in names] == [wanted] * 2, row
    assert kinds.count('SW') == 14
    assert kinds.count('BN') == 55 - 14  # of a deep stem
    assert kinds.count('SN') > 0


HRNET = dict(
    stage1=dict(block='BOTTLENECK', num_blocks=(1,), num_channels=(8,)),
    stage2=dict(block='BASIC', num_blocks=(1,) * 2, num_channels=(8, 16)),
    stage3=dict(block='BASIC', num_blocks=(1,) * 3, num_channels=(8, 16, 32)),
    stage4=dict(
        block='BASIC', num_blocks=(1,) * 4, num_channels=(8, 16, 32, 64)
    ),
)
for number, stage in enumerate(HRNET.values(), start=1):
    stage.update(num_modules=1, num_branches=number)


@pytest.mark.parametrize(
    ('toolkit', 'backbone', 'whiten_at', 'count'),
    [
        ('mmdet', dict(type='RegNet', arch='regnetx_400mf'), 'sw14', 11),
        (
            'mmdet',
            dict(type='MobileNetV2'),
            ['conv1.bn', 'layer*.depthwise_conv.bn'],
            18,
        ),
        (
            'mmdet',
            dict(type='Res2Net', depth=50, scales=4, base_width=24),
            ['stem.7', 'layer[123].*.bns.0'],
            14,
        ),
        (
            'mmseg',
            dict(type='HRNet', extra=HRNET),
            ['bn2', 'stage*.branches.*.bn1'],
            10,
        ),
        (
            'mmseg',
            dict(type='MobileNetV3', arch='small'),
            ['layer*.expand_conv.bn'],
            10,
        ),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else None,
)
def test_other_backbones(toolkit, backbone, whiten_at, count):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(toolkit):
        model = MODELS.build(backbone)
    whiten_cfg = dict(type='SW', num_pergroup=8)
    names = place_norms(model, whiten_cfg, whiten_at)
    assert len(names) == count
    model.train()
    outputs = model(torch.randn(2, 3, 64, 64))
    sum(output.square().mean() for output in outputs).backward()
    for name in names:
        norm = model.get_submodule(name)
        assert isinstance(norm, SW)
        assert norm.weight.grad.isfinite().all(), name
        assert norm.weight.grad.any(), name
