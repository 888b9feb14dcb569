"""Converted checkpoints load strictly and compute what the source does."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from tests.checkpoints.conversion.conftest import (
    SOURCES,
    build,
    check_identical,
    same_norms,
    tiny,
)
from tests.checkpoints.conversion.forward import features
from tests.checkpoints.conversion.published import Network, checkpoint
from whiten_plugins.checkpoints.conversion import ConversionError
from whiten_plugins.norms.base import WhiteningNorm

pytest.importorskip('mmdet')


def _equal_features(model, network, images):
    expected = features(network, checkpoint(network), images)
    with torch.no_grad():
        found = model.double()(images.double())
    for y, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(y, wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize('network', SOURCES.values(), ids=SOURCES)
def test_same_norms_give_the_features_of_the_papers_equations(
    conversions, images, network
):
    _, model, report = conversions.convert(network, same_norms(network))
    assert report['layout'] == network.layout
    assert report['layers']['converted'] == {}
    assert report['dropped'] == ['fc.weight', 'fc.bias']
    _equal_features(model, network, images)


def test_torchvisions_resnet_50_gives_its_own_features(conversions):
    torch.manual_seed(0)
    resnet = torchvision.models.resnet50().eval()
    for name, buffer in resnet.named_buffers():
        if 'running' in name:
            buffer.uniform_(0.5, 1.5)
    state = resnet.state_dict()
    backbone = dict(type='mmdet.ResNet', depth=50)
    _, model, report = conversions.convert(state, backbone)
    assert report['architecture'] == 'ResNet-50'
    stages = ['layer1', 'layer2', 'layer3', 'layer4']
    body = create_feature_extractor(resnet, stages)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for y, wanted in zip(model(images), body(images).values()):
            torch.testing.assert_close(y, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('layout', 'depth'),
    [('sw', 34), ('gw', 34), ('sw', 101), ('sn', 101), ('sw', 152)],
)
def test_every_depth_loads_strictly(conversions, layout, depth):
    ratios = 3 if layout == 'sn' else 2
    network = Network(layout, depth, width=4, num_ratios=ratios)
    backbone = same_norms(network, base_channels=4)
    _, _, report = conversions.convert(network, backbone)
    assert report['architecture'].startswith(f'ResNet-{depth}')
    assert report['layers']['converted'] == {}


@pytest.mark.parametrize('layout', ['sw', 'gw'])
def test_basic_blocks_give_the_same_features(conversions, images, layout):
    network = Network(layout, depth=18)
    _, model, _ = conversions.convert(network, same_norms(network))
    _equal_features(model, network, images)


@pytest.mark.parametrize('layout', ['torchvision', 'sw', 'gw'])
def test_resnext_gives_the_same_features(conversions, images, layout):
    network = Network(layout, groups=2, base_width=4)
    kind = same_norms(network)['type'].replace('ResNet', 'ResNeXt')
    backbone = same_norms(network, type=kind, groups=2, base_width=4)
    _, model, report = conversions.convert(network, backbone)
    assert report['architecture'] == 'ResNeXt-50 (2x4d)'
    _equal_features(model, network, images)


@pytest.mark.parametrize('layout', ['torchvision', 'sw', 'sn'])
def test_a_deep_stem_gives_the_same_features(conversions, images, layout):
    pytest.importorskip('mmseg')
    network = Network(layout, 18, deep_stem=True, num_ratios=3)
    kind = {'torchvision': 'ResNetV1c', 'sw': 'WhitenResNetV1c'}
    backbone = same_norms(
        network, type=f'mmseg.{kind.get(layout, "ResNetV1c")}'
    )
    backbone['stem_channels'] = 8
    backbone |= dict(dilations=(1, 1, 1, 1), strides=(1, 2, 2, 2))
    loaded, model, report = conversions.convert(network, backbone)
    assert 'deep stem' in report['architecture']
    assert 'stem.7.weight' in loaded['state_dict']
    _equal_features(model, network, images)


@pytest.mark.parametrize(
    'wrap',
    [
        lambda state: {f'module.{k}': v for k, v in state.items()},
        lambda state: {'state_dict': state, 'best_prec1': 76.1, 'epoch': 100},
        lambda state: {'model': state},
        lambda state: {'state_dict': {f'module.{k}': state[k] for k in state}},
        lambda state: {
            'head.fc.bias': torch.zeros(5),
            **{f'backbone.{k}': v for k, v in state.items() if 'fc.' not in k},
        },
    ],
    ids=['module', 'state_dict', 'model', 'both', 'mmpretrain'],
)
def test_wrappings_of_a_state_dict(conversions, wrap):
    network = Network('sw', 18)
    state = checkpoint(network)
    loaded, _, _ = conversions.convert(wrap(state), same_norms(network))
    kept = loaded['state_dict']
    assert torch.equal(kept['conv1.weight'], state['conv1.weight'])


def test_half_precision_becomes_the_backbones_dtype(conversions):
    network = Network('sw', 18)
    state = {k: v.half() for k, v in checkpoint(network).items()}
    loaded, _, _ = conversions.convert(state, same_norms(network))
    floats = (v for v in loaded['state_dict'].values() if v.is_floating_point)
    assert {v.dtype for v in floats} == {torch.float32, torch.int64}


def test_another_placement_converts_and_names_the_other_layers(conversions):
    network = Network('sw')
    state = checkpoint(network)
    loaded, _, report = conversions.convert(
        state, same_norms(network, whiten_at='sw14')
    )
    converted = report['layers']['converted']
    assert list(converted) == [
        'layer1.0.bn2',
        'layer1.2.bn2',
        'layer2.0.bn2',
        'layer2.2.bn2',
        'layer3.0.bn2',
        'layer3.2.bn2',
        'layer3.4.bn2',
    ]
    assert converted['layer1.0.bn2'] == {
        'from': 'BN',
        'to': 'SW',
        'carried': ['weight', 'bias', 'running_mean', 'num_batches_tracked'],
        'started': {
            'running_cov': 'from the variances',
            'mean_weight': 'uniform',
            'var_weight': 'uniform',
        },
        'dropped': ['running_var'],
    }
    kept = loaded['state_dict']
    variance = state['layer1.0.bn2.running_var']
    covariance = kept['layer1.0.bn2.running_cov']
    assert torch.equal(covariance, variance.view(-1, 4).diag_embed())
    assert torch.equal(
        kept['layer1.1.bn2.mean_weight'], state['layer1.1.sw2.sw_mean_weight']
    )
    assert 'layer1.1.bn2' in report['layers']['carried over']


@pytest.mark.parametrize('norm', ['SN', 'SW', 'GW', 'BW', 'ItN', 'SyncSW'])
def test_a_bn_networks_weights_and_statistics_are_carried_over(
    conversions, norm
):
    network = Network('torchvision', 18)
    state = checkpoint(network)
    backbone = same_norms(network, norm_cfg=dict(type=norm))
    loaded, _, report = conversions.convert(state, backbone)
    kept = loaded['state_dict']
    for key in kept:
        if key in state:
            assert torch.equal(kept[key], state[key]), key
    change = report['layers']['converted']['layer1.0.bn1']
    assert (change['from'], change['to']) == ('BN', norm)
    assert {'weight', 'bias'} <= set(change['carried'])
    if norm == 'GW':
        assert set(change['dropped']) == {'running_mean', 'running_var'}
        assert any('no batch statistics' in note for note in report['notes'])
    else:
        assert 'running_mean' in change['carried']


BN_NETWORK = dict(type='mmdet.ResNet', depth=18, base_channels=8)


@pytest.fixture
def bn_network(conversions, images):
    """A BN backbone whose running statistics are those of its features."""
    torch.manual_seed(0)
    backbone = {**BN_NETWORK, 'norm_eval': False}
    config = conversions.config(backbone)
    model = build(config)
    model.init_weights()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the average over all batches
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, 64, 64))
    model.eval()
    return model


def _distance(model, other, images):
    """The largest relative difference of a stage's features."""
    with torch.no_grad():
        pairs = zip(model(images), other(images))
        return max(float((y - x).norm() / x.norm()) for y, x in pairs)


@pytest.mark.parametrize('norm', ['BW', 'ItN'])
def test_batch_whitening_starts_with_the_bn_networks_function(
    conversions, bn_network, images, norm
):
    backbone = {**BN_NETWORK, 'norm_cfg': dict(type=norm, num_pergroup=4)}
    _, model, _ = conversions.convert(bn_network.state_dict(), backbone)
    assert _distance(model, bn_network, images) < 1e-5


@pytest.mark.parametrize(
    'norm_cfg',
    [
        dict(type='SN'),
        dict(type='SW', num_pergroup=4, whitening='zca'),
        dict(type='SW', num_pergroup=4, sw_type=5, whitening='zca'),
    ],
    ids=['SN', 'SW-2', 'SW-5'],
)
def test_ratios_at_the_batch_start_near_the_bn_networks_function(
    conversions, bn_network, images, norm_cfg
):
    backbone = {**BN_NETWORK, 'norm_cfg': norm_cfg}
    source = bn_network.state_dict()
    distances = {}
    for init in ('bn', 'uniform'):
        _, model, _ = conversions.convert(source, backbone, init_ratios=init)
        distances[init] = _distance(model, bn_network, images)
    assert distances['bn'] < 0.01
    assert distances['uniform'] > 10 * distances['bn']


def test_sw_becomes_bn_with_the_variances_of_its_covariance(conversions):
    state = checkpoint(Network('sw', 18))
    loaded, _, report = conversions.convert(state, BN_NETWORK)
    variance = state['sw1.running_cov'].diagonal(dim1=1, dim2=2).flatten()
    assert torch.equal(loaded['state_dict']['bn1.running_var'], variance)
    change = report['layers']['converted']['bn1']
    assert (change['from'], change['to']) == ('SW', 'BN')
    assert 'mean_weight' in change['dropped']


def test_itn_becomes_bn_with_the_variances_behind_its_matrix(conversions):
    state = checkpoint(Network('itn', 18))
    loaded, _, _ = conversions.convert(state, BN_NETWORK)
    matrix = state['bn1.running_wm'].double()
    covariance = torch.linalg.inv(matrix @ matrix.mT)
    variance = covariance.diagonal(dim1=1, dim2=2).flatten().float()
    found = loaded['state_dict']['bn1.running_var']
    torch.testing.assert_close(found, variance)


def test_a_singular_whitening_matrix_has_no_variances(conversions):
    state = checkpoint(Network('itn', 18))
    state['bn1.running_wm'].zero_()
    with pytest.raises(ConversionError, match='bn1.running_wm is singular'):
        conversions.convert(state, BN_NETWORK)


@pytest.mark.parametrize('layout', ['gw', 'itn'])
def test_a_norm_before_the_classifier_is_dropped(conversions, layout):
    network = Network(layout, 18)
    last = {
        'last_bn.weight': torch.ones(1, 64, 1, 1),
        'last_bn.bias': torch.zeros(1, 64, 1, 1),
    }
    state = {**checkpoint(network), **last}
    _, _, report = conversions.convert(state, same_norms(network))
    assert set(report['dropped']) == {*last, 'fc.weight', 'fc.bias'}


def test_other_group_sizes_keep_the_variances(conversions):
    network = Network('sw', 18, rows=8)
    state = checkpoint(network)
    loaded, _, report = conversions.convert(state, same_norms(network))
    found = loaded['state_dict']['bn1.running_cov']
    variance = state['sw1.running_cov'].diagonal(dim1=1, dim2=2).flatten()
    assert torch.equal(found, variance.view(2, 4).diag_embed())
    change = report['layers']['converted']['bn1']
    assert change['started'] == {'running_cov': 'from the variances'}


def test_one_of_our_checkpoints_is_a_source(conversions):
    network = Network('torchvision', 18)
    ours = same_norms(network, norm_cfg=dict(type='SN'))
    first, _, _ = conversions.convert(network, ours)
    second, _, report = conversions.convert(dict(first), ours)
    assert report['layout'] == 'mm'
    assert report['layers']['converted'] == {}
    check_identical(second['state_dict'], first['state_dict'])


def test_stages_that_a_backbone_does_not_have_are_dropped(conversions):
    backbone = tiny(
        type='mmdet.ResNet',
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(2,),
    )
    _, _, report = conversions.convert(Network('torchvision'), backbone)
    assert 'layer4.0.conv1.weight' in report['dropped']
    assert 'layer4.2.bn3.running_var' in report['dropped']


def test_offsets_of_deformable_convolutions_start_at_zero(conversions):
    pytest.importorskip('mmcv.ops')
    backbone = tiny(
        type='mmdet.WhitenResNet',
        whiten_cfg=dict(type='SW', num_pergroup=4),
        whiten_at='sw7-released',
        dcn=dict(type='DCNv2', deform_groups=1, fallback_on_stride=False),
        stage_with_dcn=(False, True, True, True),
    )
    loaded, _, report = conversions.convert(Network('sw'), backbone)
    initialized = report['layers']['initialized']
    assert 'layer2.0.conv2.conv_offset.weight' in initialized
    assert set(initialized.values()) == {'at 0'}
    assert not loaded['state_dict']['layer2.0.conv2.conv_offset.bias'].any()


def test_the_source_is_left_alone(conversions):
    network = Network('sw', 18)
    path = conversions.save(checkpoint(network))
    before = path.read_bytes()
    _, model, _ = conversions.convert(path, same_norms(network))
    nn.init.zeros_(model.conv1.weight)
    assert path.read_bytes() == before


def test_a_pretrained_init_cfg_loads_it(conversions):
    network = Network('sw', 18)
    backbone = same_norms(network)
    loaded, _, _ = conversions.convert(network, backbone)
    path = str(conversions.folder / 'converted.pth')
    init_cfg = dict(type='Pretrained', checkpoint=path)
    config = conversions.config({**backbone, 'init_cfg': init_cfg})
    model = build(config)
    model.init_weights()
    check_identical(dict(model.state_dict()), loaded['state_dict'])
    assert any(isinstance(m, WhiteningNorm) for m in model.modules())
