"""The Whiten* backbones train, freeze, load and copy as the toolkits'."""

import copy

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from whiten_plugins.norms.base import WhiteningNorm
from whiten_plugins.placement import place_norms
from whiten_plugins.placement.errors import PlacementError

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

# Scope, type, arguments of a tiny network, norm that ends the stem.
TINY = dict(depth=18, base_channels=8, stem_channels=8)
BACKBONES = {
    'det': ('mmdet', 'WhitenResNet', TINY, 'bn1'),
    'det-next': (
        'mmdet',
        'WhitenResNeXt',
        dict(depth=50, base_channels=8, groups=2, base_width=4),
        'bn1',
    ),
    'seg': ('mmseg', 'WhitenResNet', TINY, 'bn1'),
    'seg-v1c': ('mmseg', 'WhitenResNetV1c', TINY, 'stem.7'),
}
NORM_CFGS = [dict(type=name) for name in ('SW', 'GW', 'SN', 'ItN')]

every_backbone = pytest.mark.parametrize('kind', BACKBONES)
every_norm = pytest.mark.parametrize(
    'whiten_cfg', NORM_CFGS, ids=lambda cfg: cfg['type']
)


def _build(kind='det', whiten_cfg=None, whiten_at='sw14', **changes):
    scope, name, arguments, _ = BACKBONES[kind]
    torch.manual_seed(0)
    cfg = dict(
        type=name,
        whiten_cfg=whiten_cfg or dict(type='SW'),
        whiten_at=whiten_at,
        **{**arguments, **changes},
    )
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(cfg)


def _build_plain(kind, **changes):
    """The toolkit's own backbone, with statistics as after training."""
    scope, name, arguments, _ = BACKBONES[kind]
    torch.manual_seed(1)
    cfg = dict(type=name.removeprefix('Whiten'), **{**arguments, **changes})
    with DefaultScope.overwrite_default_scope(scope):
        backbone = MODELS.build(cfg)
    for name, value in backbone.state_dict().items():
        if 'running' in name or 'bn' in name and value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return backbone


def _images(size=64):
    return torch.randn(
        2, 3, size, size, generator=torch.Generator().manual_seed(0)
    )


def _step(backbone, images):
    """One forward and backward pass; returns the outputs."""
    outputs = backbone(images)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (y * torch.randn(y.shape, generator=generator)).mean() for y in outputs
    )
    loss.backward()
    return outputs


def _placed(backbone):
    return {
        name: module
        for name, module in backbone.named_modules()
        if isinstance(module, WhiteningNorm)
    }


def _in_stages(name, frozen_stages):
    """Whether a norm stands in the stem or in the first stages."""
    if not name.startswith('layer'):
        return frozen_stages >= 0
    return int(name[len('layer')]) <= frozen_stages


@every_backbone
@every_norm
def test_a_training_step(kind, whiten_cfg):
    backbone = _build(kind, whiten_cfg, norm_eval=False)
    stem = BACKBONES[kind][3]
    blocks = sum(backbone.stage_blocks[:3])
    placed = _placed(backbone)
    assert list(placed) == backbone.placed_norms
    assert stem in placed and len(placed) == 1 + blocks
    assert {type(m).__name__ for m in placed.values()} == {whiten_cfg['type']}
    assert {m.placement for m in placed.values()} == {'sw14'}
    backbone.train()
    outputs = _step(backbone, _images())
    assert all(y.isfinite().all() for y in outputs)
    for name, norm in placed.items():
        for parameter in norm.parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


@every_backbone
@every_norm
def test_a_bn_checkpoint_loads_strictly(kind, whiten_cfg):
    plain, backbone = _build_plain(kind), _build(kind, whiten_cfg)
    backbone.load_state_dict(plain.state_dict())
    backbone.eval()
    name = backbone.placed_norms[-1]
    weight = backbone.get_submodule(name).weight
    torch.testing.assert_close(weight, plain.get_submodule(name).weight)
    assert all(y.isfinite().all() for y in backbone(_images()))


@every_backbone
def test_a_bn_checkpoint_gives_bn_features_where_bw_is_bn(kind):
    plain = _build_plain(kind)
    one_by_one = dict(type='BW', num_pergroup=1)
    backbone = _build(kind, one_by_one, 'all')
    backbone.load_state_dict(plain.state_dict())
    backbone.eval()
    plain.eval()
    for seen, expected in zip(backbone(_images()), plain(_images())):
        torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-5)


@every_backbone
@every_norm
def test_a_pretrained_init_cfg_loads(kind, whiten_cfg, tmp_path):
    plain = _build_plain(kind)
    path = tmp_path / 'resnet.pth'
    torch.save(plain.state_dict(), path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    backbone = _build(kind, whiten_cfg, init_cfg=init_cfg)
    backbone.init_weights()
    loaded = backbone.state_dict()
    for name, value in plain.state_dict().items():
        if name in loaded and 'num_batches_tracked' not in name:
            torch.testing.assert_close(loaded[name], value)
    for norm in _placed(backbone).values():
        if hasattr(norm, 'running_cov'):
            assert norm.running_cov.diagonal(dim1=1, dim2=2).mean() < 1.5
            assert not norm.running_cov.diagonal(dim1=1, dim2=2).eq(1).any()


@every_backbone
def test_weights_are_initialized_as_the_toolkit_does(kind):
    plain = _build_plain(kind)  # its BN weights are not 1 until initialized
    backbone = _build(kind, whiten_at='all')
    plain.init_weights()
    backbone.init_weights()
    weights = {}
    for name, norm in _placed(backbone).items():
        weights[name] = norm.weight.mean().item()
        assert (norm.weight == plain.get_submodule(name).weight).all(), name
    if kind != 'det-next':  # mmdet's ResNeXt ignores zero_init_residual
        assert 0 in weights.values() and 1 in weights.values()


@every_backbone
@pytest.mark.parametrize('frozen_stages', [-1, 0, 2])
@pytest.mark.parametrize(
    'norm_eval, requires_grad', [(True, False), (True, True), (False, True)]
)
def test_placed_norms_train_unless_their_stage_is_frozen(
    kind, frozen_stages, norm_eval, requires_grad
):
    backbone = _build(
        kind,
        frozen_stages=frozen_stages,
        norm_eval=norm_eval,
        norm_cfg=dict(type='BN', requires_grad=requires_grad),
    )
    for mode in (True, False, True):
        assert backbone.train(mode) is backbone
    before = copy.deepcopy(backbone.state_dict())
    _step(backbone, _images(32))
    after = backbone.state_dict()
    for name, module in backbone.named_modules():
        if not hasattr(module, 'running_mean'):
            continue
        frozen = _in_stages(name, frozen_stages)
        placed = name in backbone.placed_norms
        trained = not frozen and (placed or requires_grad)
        averaging = not frozen and (placed or not norm_eval)
        wanted = {p.requires_grad for p in module.parameters()}
        assert wanted == {trained}, name
        assert module.training is averaging, name
        key = f'{name}.running_mean'
        assert torch.equal(before[key], after[key]) is not averaging, name


def test_torch_norms_are_placed_by_the_same_rules():
    backbone = _build(
        whiten_cfg=dict(type='BN'),
        whiten_at=['layer*.bn1'],
        norm_eval=True,
        frozen_stages=1,
    ).train()
    for name, module in backbone.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            placed = name in backbone.placed_norms
            expected = placed and not _in_stages(name, 1)
            assert module.training is expected, name


def test_norms_placed_in_a_plain_backbone_obey_its_norm_eval():
    backbone = _build_plain('det', norm_eval=True)
    place_norms(backbone, dict(type='SW'), 'sw14')
    backbone.train()
    assert not any(norm.training for norm in _placed(backbone).values())


def test_placed_norms_can_be_frozen():
    backbone = _build(whiten_cfg=dict(type='SW', requires_grad=False))
    for norm in _placed(backbone).values():
        assert not any(p.requires_grad for p in norm.parameters())


@pytest.mark.parametrize('whiten_at', ['sw14', ['layer[12].*.bn1']])
@every_backbone
def test_the_other_norms_are_those_of_norm_cfg(kind, whiten_at):
    backbone = _build(kind, whiten_at=whiten_at, norm_cfg=dict(type='SyncBN'))
    norms = [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.SyncBatchNorm)
    ]
    assert norms and not set(norms) & set(backbone.placed_norms)
    assert len(_placed(backbone)) == len(backbone.placed_norms)


@pytest.mark.filterwarnings('ignore:.*use_reentrant')
@pytest.mark.parametrize('kind', ['det', 'det-next', 'seg-v1c'])
def test_checkpointing_gives_the_same_gradients(kind):
    gradients = []
    for with_cp in (False, True):
        backbone = _build(kind, whiten_at='all', with_cp=with_cp)
        backbone.double().train()
        _step(backbone, _images().double().requires_grad_())
        gradients.append([p.grad for p in backbone.parameters()])
    for plain, checkpointed in zip(*gradients):
        torch.testing.assert_close(checkpointed, plain)


@pytest.mark.parametrize('kind', ['seg', 'seg-v1c'])
def test_dilation(kind):
    backbone = _build(
        kind,
        depth=50,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        multi_grid=(1, 2, 4),
    ).train()
    assert [y.shape[-1] for y in _step(backbone, _images())] == [16, 8, 8, 8]
    assert len(backbone.placed_norms) == 14


@pytest.mark.parametrize('kind', ['det', 'det-next', 'seg'])
@pytest.mark.parametrize('dcn', ['DCN', 'DCNv2'])
def test_deformable_convolution(kind, dcn):
    pytest.importorskip('mmcv.ops')
    backbone = _build(
        kind,
        depth=50,
        dcn=dict(type=dcn, deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
    ).train()
    assert all(y.isfinite().all() for y in _step(backbone, _images(96)))
    assert len(backbone.placed_norms) == 14


def test_deep_stem_in_mmdet():
    backbone = _build('det', deep_stem=True, frozen_stages=0).train()
    assert backbone.placed_norms[0] == 'stem.7'
    assert not backbone.stem[7].training


def test_fewer_stages():
    backbone = _build(
        num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1)
    )
    assert len(backbone.placed_norms) == 1 + 2 + 2


@every_backbone
def test_a_deep_copy_is_independent_and_equal(kind):
    backbone = _build(kind, norm_eval=True)
    copied = copy.deepcopy(backbone).train()
    backbone.train()
    assert copied.placed_norms == backbone.placed_norms
    for seen, expected in zip(copied(_images(32)), backbone(_images(32))):
        assert torch.equal(seen, expected)
    name = backbone.placed_norms[0]
    assert copied.get_submodule(name) is not backbone.get_submodule(name)


def test_both_scopes_have_a_whiten_resnet_of_their_own():
    from whiten_plugins.placement.backbones import mmdet, mmseg

    for scope, module in (('mmdet', mmdet), ('mmseg', mmseg)):
        with DefaultScope.overwrite_default_scope(scope):
            assert type(_build(scope[2:])) is module.WhitenResNet
        found = MODELS.get(f'{scope}.WhitenResNet')
        assert found is module.WhitenResNet


@pytest.mark.parametrize(
    'changes, error, message',
    [
        (dict(whiten_at='sw15'), PlacementError, r"whiten_at='sw15'.*sw14"),
        (dict(whiten_at=['bn3']), PlacementError, "'bn3' matches.*layer4.1"),
        (
            dict(whiten_cfg=dict(type='SW', num_pergroup=3)),
            PlacementError,
            'whiten_cfg at bn1: .*num_pergroup=3',
        ),
    ],
)
def test_errors_name_the_argument(changes, error, message):
    with pytest.raises(error, match=message):
        _build(**changes)
