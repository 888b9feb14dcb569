"""Places in networks that are no ResNets, each in its implementations."""

import re

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn
from torchvision import models

from whiten_plugins.norms import GW, SN, SW
from whiten_plugins.placement import NETWORKS, networks, place_norms
from whiten_plugins.placement.errors import PlacementError

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

HRNET = dict(
    stage1=dict(
        num_modules=1,
        num_branches=1,
        block='BOTTLENECK',
        num_blocks=(2,),
        num_channels=(8,),
    ),
    **{
        f'stage{stage}': dict(
            num_modules=1,
            num_branches=stage,
            block='BASIC',
            num_blocks=(2,) * stage,
            num_channels=(8, 16, 32, 64)[:stage],
        )
        for stage in (2, 3, 4)
    },
)
SWIN = dict(
    type='SwinTransformer',
    embed_dims=16,
    depths=(1, 1, 1, 1),
    num_heads=(1, 1, 2, 2),
    window_size=2,
    drop_path_rate=0.0,
)
RES2NET = dict(type='Res2Net', depth=50, scales=4, base_width=26)
RESNEST = dict(
    type='ResNeSt', depth=50, stem_channels=64, radix=2, reduction_factor=4
)
V3 = dict(type='MobileNetV3', arch='small')
# Scope and config of a backbone; how many norms the paper's place has there.
BACKBONES = {
    'hrnet': [
        ('mmdet', dict(type='HRNet', extra=HRNET), 1 + 2 + (2 + 3 + 4) * 2),
        ('mmseg', dict(type='HRNet', extra=HRNET), 1 + 2 + (2 + 3 + 4) * 2),
    ],
    'res2net': [('mmdet', RES2NET, 1 + 16 * 3)],
    'resnest': [('mmdet', RESNEST, 17), ('mmseg', RESNEST, 17)],
    'mobilenet-v2': [
        ('mmdet', dict(type='MobileNetV2'), 18),
        ('mmseg', dict(type='MobileNetV2'), 18),
    ],
    'mobilenet-v3': [('mmseg', V3, 12)],
    'swin': [('mmdet', SWIN, 1 + 8 + 3 + 4), ('mmseg', SWIN, 1 + 8 + 3 + 4)],
}
CASES = [
    pytest.param(network, *case, id=f'{network}-{case[0]}')
    for network, cases in BACKBONES.items()
    for case in cases
]


def build(scope, cfg):
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


@pytest.mark.parametrize(('network', 'scope', 'cfg', 'count'), CASES)
def test_the_places_are_chosen_and_the_network_computes(
    network, scope, cfg, count
):
    model = build(scope, cfg)
    names = list(model.state_dict())
    placed = place_norms(model, dict(type='SN'), network)
    assert len(placed) == count
    for name in placed:
        norm = model.get_submodule(name)
        assert isinstance(norm, SN) and norm.placement == network
    # Checkpoints keep their keys.
    added = [name for name in model.state_dict() if name not in names]
    assert set(names) <= set(model.state_dict())
    assert all(
        re.search(r'(mean|var)_weight$|running_|num_batches', name)
        for name in added
    )
    model.train()
    outputs = model(torch.randn(2, 3, 64, 64))
    for output in outputs:
        assert output.isfinite().all()
    sum(output.sum() for output in outputs).backward()
    for name in placed:
        assert model.get_submodule(name).weight.grad is not None, name


@pytest.mark.parametrize(
    ('network', 'scope', 'cfg', 'count'),
    [case for case in CASES if 'swin' not in case.id],
)
def test_norms_follow_convolutions_over_space(network, scope, cfg, count):
    model = build(scope, cfg)
    placed = place_norms(model, dict(type='SN'), network)
    last, seen = [], {}
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda conv, *_: last.append(conv))
    for name in placed:
        model.get_submodule(name).register_forward_pre_hook(
            lambda norm, inputs, name=name: seen.update(
                {name: (last[-1].kernel_size, inputs[0].shape[2:])}
            )
        )
    with torch.no_grad():
        model(torch.randn(2, 3, 128, 128))
    assert seen.keys() == set(placed)
    for name, (kernel, size) in seen.items():
        assert min(kernel) > 1, name
        # Not inside an attention, which sees 1×1 maps.
        assert min(size) > 1, name


@pytest.mark.parametrize(
    ('network', 'model', 'count'),
    [
        ('convnext', models.convnext_tiny, 1 + 18),
        ('swin', models.swin_t, 1 + 2 * 12 + 3 + 1),
    ],
)
def test_torchvisions_networks_with_layer_norms(network, model, count):
    model = model().eval()
    expected = [tuple(v.shape) for v in model.state_dict().values()]
    image = torch.randn(2, 3, 64, 64)
    shape = model(image).shape
    placed = place_norms(model, dict(type='GW', num_groups=8), network)
    assert len(placed) == count
    assert all(isinstance(model.get_submodule(n), GW) for n in placed)
    assert [tuple(v.shape) for v in model.state_dict().values()] == expected
    output = model(image)
    assert output.shape == shape and output.isfinite().all()


@pytest.mark.parametrize('preset', ['s1b2', 'sw14', 's1b12'])
def test_regnet_is_a_resnet(preset):
    cfg = dict(type='RegNet', arch='regnetx_3.2gf')
    model = build('mmdet', cfg)
    placed = place_norms(model, dict(type='SW', num_pergroup=8), preset)
    blocks = 2 + 6 + 15 + 2
    assert (
        len(placed)
        == dict(s1b2=1 + blocks, sw14=1 + blocks - 2, s1b12=1 + 2 * blocks)[
            preset
        ]
    )
    assert all(isinstance(model.get_submodule(n), SW) for n in placed)


@pytest.mark.parametrize('network', NETWORKS)
def test_another_network_is_refused_with_the_names_that_would_fit(network):
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8))
    first = NETWORKS[network][0][0]
    with pytest.raises(PlacementError) as caught:
        place_norms(model, dict(type='SN'), network)
    message = str(caught.value)
    assert f"whiten_at='{network}' needs a network with norms" in message
    assert first in message and message.endswith('the norms are 1')
    assert isinstance(model[1], nn.BatchNorm2d)


def test_every_network_is_in_the_docstring():
    for network in NETWORKS:
        assert f'``{network}``' in networks.__doc__


@pytest.mark.parametrize(
    ('scope', 'cfg', 'network'),
    [
        ('mmdet', dict(type='WhitenHRNet', extra=HRNET), 'hrnet'),
        ('mmdet', {**SWIN, 'type': 'WhitenSwinTransformer'}, 'swin'),
        ('mmseg', {**V3, 'type': 'WhitenMobileNetV3'}, 'mobilenet-v3'),
        ('mmdet', {**RES2NET, 'type': 'WhitenRes2Net'}, 'res2net'),
    ],
)
def test_a_config_places_them(scope, cfg, network):
    model = build(
        scope, dict(cfg, whiten_cfg=dict(type='SN'), whiten_at=network)
    )
    assert model.placed_norms
    model.train()
    for name in model.placed_norms:
        norm = model.get_submodule(name)
        assert isinstance(norm, SN) and norm.training
        assert norm.weight.requires_grad


def test_frozen_stages_freeze_placed_norms_of_a_swin_too():
    cfg = dict(SWIN, type='WhitenSwinTransformer', frozen_stages=1)
    model = build(
        'mmdet', dict(cfg, whiten_cfg=dict(type='SN'), whiten_at='swin')
    )
    model.train()
    frozen = {
        name
        for name in model.placed_norms
        if not model.get_submodule(name).training
    }
    assert 'patch_embed.norm' in frozen and 'norm3' not in frozen
    for name in frozen:
        norm = model.get_submodule(name)
        assert not any(p.requires_grad for p in norm.parameters())
