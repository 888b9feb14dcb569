"""norm_eval and frozen_stages mean for the norms what they mean for BN."""

import inspect

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from torch import nn

from whiten_plugins.integration.norm_eval import eval_norms
from whiten_plugins.norms import BW, GW, SN, SW
from whiten_plugins.norms.base import WhiteningNorm

NORM_CFGS = [
    dict(type='SN'),
    dict(type='SW', num_pergroup=4),
    dict(type='BW', num_pergroup=4, whitening='itn'),
    dict(type='GW', num_groups=4),
]
SMALL = dict(
    depth=18,
    base_channels=16,
    stem_channels=16,
    num_stages=2,
    strides=(1, 2),
    dilations=(1, 1),
    out_indices=(0, 1),
)


def _det_resnet(**cfg):
    backbones = pytest.importorskip('mmdet.models.backbones')
    return backbones.ResNet(**SMALL, **cfg)


def _det_resnet_deep_stem(**cfg):
    return _det_resnet(deep_stem=True, **cfg)


def _seg_resnet_v1c(**cfg):
    backbones = pytest.importorskip('mmseg.models.backbones')
    return backbones.ResNetV1c(**SMALL, **cfg)


every_backbone = pytest.mark.parametrize(
    'build', [_det_resnet, _det_resnet_deep_stem, _seg_resnet_v1c]
)
every_norm = pytest.mark.parametrize(
    'norm_cfg', NORM_CFGS, ids=lambda cfg: cfg['type']
)


def _norms(model):
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, WhiteningNorm)
    }


def _forward(model):
    torch.manual_seed(0)
    return model(torch.randn(2, 3, 64, 64))


def _updated_by_forward(model):
    """Names of the buffers that a forward pass changes."""
    before = {name: b.clone() for name, b in model.named_buffers()}
    _forward(model)
    return {
        name
        for name, buffer in model.named_buffers()
        if not torch.equal(buffer, before[name])
    }


@every_backbone
@every_norm
@pytest.mark.parametrize('frozen', [True, False], ids=['eval', 'train'])
def test_running_statistics_are_kept_with_norm_eval(build, norm_cfg, frozen):
    backbone = build(norm_cfg=norm_cfg, norm_eval=frozen)
    norms = _norms(backbone)
    buffers = {name for name, _ in backbone.named_buffers()}
    assert bool(buffers) == (norm_cfg['type'] != 'GW')
    for mode in (True, False, True):
        backbone.train(mode)
        updating = mode and not frozen
        assert backbone.training is backbone.layer1.training is mode
        assert {norm.training for norm in norms.values()} == {updating}
        expected = buffers if updating else set()
        assert _updated_by_forward(backbone) == expected


@every_backbone
@every_norm
def test_everything_is_trained_with_norm_eval(build, norm_cfg):
    backbone = build(norm_cfg=norm_cfg, norm_eval=True)
    backbone.train()
    torch.manual_seed(0)
    sum((y * torch.randn_like(y)).sum() for y in _forward(backbone)).backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@every_norm
def test_training_sees_what_evaluation_sees_with_norm_eval(norm_cfg):
    backbone = _det_resnet(norm_cfg=norm_cfg, norm_eval=True)
    backbone.train()
    trained = _forward(backbone)
    backbone.eval()
    for seen, expected in zip(trained, _forward(backbone)):
        torch.testing.assert_close(seen, expected)


@every_backbone
@every_norm
@pytest.mark.parametrize('stages', [0, 1])
def test_frozen_stages_freeze_the_norms(build, norm_cfg, stages):
    backbone = build(norm_cfg=norm_cfg, norm_eval=False, frozen_stages=stages)
    backbone.train()
    prefixes = ('stem', 'conv1', 'bn1', 'layer1')[: 3 + stages]
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad != name.startswith(prefixes), name
    for name, norm in _norms(backbone).items():
        assert norm.training != name.startswith(prefixes), name
    assert _updated_by_forward(backbone) == {
        name
        for name, _ in backbone.named_buffers()
        if not name.startswith(prefixes)
    }


def _names_norm_eval(backbone):
    return inspect.isclass(backbone) and 'norm_eval' in inspect.getsource(
        backbone
    )


@pytest.mark.parametrize('toolkit', ['mmdet', 'mmseg'])
def test_every_backbone_with_norm_eval_is_reached(toolkit):
    backbones = pytest.importorskip(f'{toolkit}.models.backbones')
    found = [
        backbone
        for backbone in vars(backbones).values()
        if _names_norm_eval(backbone)
    ]
    assert len(found) >= 8
    for backbone in found:
        assert issubclass(backbone, BaseModule), backbone


@pytest.mark.parametrize(
    'toolkit, cfg',
    [
        ('mmdet', dict(type='RegNet', arch='regnetx_400mf')),
        ('mmdet', dict(type='Res2Net', depth=50, scales=4, base_width=26)),
        ('mmdet', dict(type='MobileNetV2')),
        ('mmdet', dict(type='Darknet')),
        ('mmdet', dict(type='ResLayer', depth=50)),
        ('mmseg', dict(type='UNet')),
        ('mmseg', dict(type='CGNet')),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else value,
)
def test_other_networks_of_the_toolkits_obey_too(toolkit, cfg):
    registry = pytest.importorskip(f'{toolkit}.registry')
    cfg = dict(norm_cfg=dict(type='SN'), norm_eval=True, **cfg)
    with torch.device('meta'), DefaultScope.overwrite_default_scope(toolkit):
        network = registry.MODELS.build(cfg)
    network.train()
    norms = _norms(network)
    assert norms
    assert not any(norm.training for norm in norms.values())
    assert network.training


class _Backbone(BaseModule):
    """A backbone of one's own, with ``train`` as the toolkits write it."""

    def __init__(self, norm_eval):
        super().__init__()
        self.norm_eval = norm_eval
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3), SN(16))
        self.layer = nn.Sequential(SW(16), nn.BatchNorm2d(16))
        self.drop = nn.Dropout()

    def train(self, mode=True):
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()


@pytest.mark.parametrize('frozen', [True, False])
def test_a_backbone_of_ones_own_obeys_inside_a_model(frozen):
    model = nn.ModuleDict(dict(backbone=_Backbone(frozen), head=BW(16)))
    assert model.train() is model
    backbone = model['backbone']
    for norm in (backbone.stem[1], *backbone.layer):
        assert norm.training is not frozen
    assert backbone.training and backbone.drop.training
    assert model['head'].training


def test_eval_norms_leaves_other_modules_alone():
    backbone = _Backbone(norm_eval=False)
    eval_norms(backbone)
    modes = {name: m.training for name, m in backbone.named_modules()}
    evaluating = {name for name, training in modes.items() if not training}
    assert evaluating == {'stem.1', 'layer.0'}


def test_modules_without_norm_eval_train_as_ever():
    class Plain(BaseModule):
        def __init__(self):
            super().__init__()
            self.norm = GW(16)

    plain = Plain()
    assert plain.eval() is plain and not plain.norm.training
    assert plain.train() is plain and plain.norm.training
    with pytest.raises(ValueError, match='training mode'):
        plain.train('yes')


def test_train_of_a_second_base_class_is_still_called():
    class Counting(nn.Module):
        calls = 0

        def train(self, mode=True):
            self.calls += 1
            return super().train(mode)

    class Both(BaseModule, Counting):
        pass

    both = Both()
    both.train()
    assert both.calls == 1


def test_mmengine_has_no_train_of_its_own_that_would_be_lost():
    assert 'def train(' not in inspect.getsource(BaseModule)
