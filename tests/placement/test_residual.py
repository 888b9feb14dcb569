"""Norms after residual additions, as IBN-b has them."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18, resnet50
from torchvision.models.resnet import BasicBlock

from whiten_plugins.placement import PlacementError, place_norms

IBN_B = dict(type='IBN', half=1)
ENDS = {resnet18: ('layer1.1', 'layer2.1'), resnet50: ('layer1.2', 'layer2.3')}


def _image(size=64):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, size, size, generator=generator)


@pytest.mark.parametrize('network', ENDS)
def test_the_stem_and_the_last_blocks_of_two_stages(network):
    model = network()
    names = place_norms(model, IBN_B, 'ibn-b')
    assert names == ['bn1', *(f'{block}.IN' for block in ENDS[network])]
    for name in names:
        norm = model.get_submodule(name)
        assert (norm.placement, norm.num_instance) == (
            'ibn-b',
            norm.num_features,
        )


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize('network', ENDS)
def test_the_sum_is_normalized_before_the_activation(network, train):
    """The block's own branch comes from torchvision, the rest from torch."""
    torch.manual_seed(0)
    model = network().train(train)
    place_norms(model, IBN_B, 'ibn-b')
    extended = model.get_submodule(ENDS[network][0])
    nn.init.uniform_(extended.IN.weight, 0.5, 1.5)
    plain = copy.deepcopy(extended)
    plain.__class__ = type(extended).__mro__[2]
    x = torch.randn(2, plain.conv1.in_channels, 8, 8)
    total = _sum(plain, x)
    norm = extended.IN
    expected = F.instance_norm(total, None, None, norm.weight, norm.bias)
    torch.testing.assert_close(
        extended(x), expected.relu(), rtol=1e-4, atol=1e-5
    )


def _sum(block, x):
    """What a block gives its last activation."""
    seen = []
    last = nn.ReLU()
    last.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    if isinstance(block, BasicBlock):
        y = F.relu(block.bn1(block.conv1(x)))
        return block.bn2(block.conv2(y)) + x
    block.relu = last
    block(x)
    return seen[-1]


def test_a_copy_and_a_pickled_network_compute_the_same():
    torch.manual_seed(0)
    model = resnet18().eval()
    place_norms(model, IBN_B, 'ibn-b')
    expected = model(_image())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(_image()), expected)
        assert isinstance(other.layer1[1], BasicBlock)


def test_placing_again_replaces_the_added_norms():
    model = resnet18()
    place_norms(model, IBN_B, 'ibn-b')
    names = place_norms(model, dict(type='SN'), 'ibn-b')
    assert names == ['bn1', 'layer1.1.IN', 'layer2.1.IN']
    assert type(model.layer1[1].IN).__name__ == 'SN'
    assert model(_image()).isfinite().all()


def test_a_block_that_computes_something_else_is_refused_untouched():
    class OwnBlock(BasicBlock):
        def forward(self, x):
            return super().forward(x) * 2

    model = resnet18()
    model.layer2[1].__class__ = OwnBlock
    before = str(model)
    with pytest.raises(PlacementError, match=r'layer2\.1 is .*OwnBlock'):
        place_norms(model, IBN_B, 'ibn-b')
    assert str(model) == before


@pytest.mark.parametrize('package', ['mmdet', 'mmseg'])
@pytest.mark.parametrize('with_cp', [False, True])
def test_the_toolkits_backbones_train(package, with_cp):
    pytest.importorskip(package)
    from mmengine.registry import MODELS, DefaultScope

    cfg = dict(
        type='WhitenResNet',
        depth=50,
        base_channels=8,
        whiten_cfg=IBN_B,
        whiten_at='ibn-b',
        norm_eval=False,
        with_cp=with_cp,
    )
    with DefaultScope.overwrite_default_scope(package):
        backbone = MODELS.build(cfg)
    backbone.init_weights()
    backbone.train()
    sum(y.square().mean() for y in backbone(_image())).backward()
    for name in backbone.placed_norms:
        norm = backbone.get_submodule(name)
        assert norm.weight.grad.isfinite().all()
        assert norm.weight.grad.abs().max() > 0, name


def test_plugins_in_a_block_are_refused():
    pytest.importorskip('mmdet')
    from mmengine.registry import MODELS, DefaultScope

    plugin = dict(cfg=dict(type='ContextBlock', ratio=0.5))
    cfg = dict(
        type='WhitenResNet',
        depth=50,
        base_channels=8,
        whiten_cfg=IBN_B,
        whiten_at='ibn-b',
        plugins=[dict(plugin, position='after_conv3', stages=(True,) * 4)],
    )
    with (
        DefaultScope.overwrite_default_scope('mmdet'),
        pytest.raises(PlacementError, match='with plugins'),
    ):
        MODELS.build(cfg)
