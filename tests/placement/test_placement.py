"""Presets choose the papers' layers; replacing keeps the rest as it was."""

import copy
import functools
import logging

import pytest
import torch
from mmengine.logging import MMLogger
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.parametrize import register_parametrization
from torchvision.models import resnet
from torchvision.ops import FrozenBatchNorm2d

from whiten_plugins.norms import BW, GW, NORMS, SN, SW
from whiten_plugins.placement import place_norms
from whiten_plugins.placement.errors import PlacementError
from whiten_plugins.placement.norm_types import channel_norms
from whiten_plugins.placement.patterns import match_norms


@functools.cache
def _names(depth=50):
    with torch.device('meta'):
        return list(channel_norms(getattr(resnet, f'resnet{depth}')()))


def _small():
    """Norms of all kinds, and modules that are none."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.GroupNorm(2, 8),
        nn.InstanceNorm2d(8),
        SN(8),
        nn.LayerNorm(8),
    )


def test_patterns_match_whole_names_and_the_first_is_recorded():
    names = _names(18)
    found = match_norms(names, ['layer[12].*.bn2', 'bn1', '*.0.bn2'])
    assert found == {
        'bn1': 'bn1',
        'layer1.0.bn2': 'layer[12].*.bn2',
        'layer1.1.bn2': 'layer[12].*.bn2',
        'layer2.0.bn2': 'layer[12].*.bn2',
        'layer2.1.bn2': 'layer[12].*.bn2',
        'layer3.0.bn2': '*.0.bn2',
        'layer4.0.bn2': '*.0.bn2',
    }
    assert list(found) == [name for name in names if name in found]


@pytest.mark.parametrize(
    'whiten_at, message',
    [
        ('sw15', r"whiten_at='sw15' is no preset.*sw7-released.*all.*list"),
        ('*.bn2', r"no preset.*whiten_at=\['\*\.bn2'\]"),
        (['bn9'], r"'bn9' matches no norm; the norms are 1, 2, 3, 4, 5$"),
        (['1', 'bn9'], r"'bn9' matches no norm"),
        (['6'], r"'6' matches no norm"),
        ([], r'whiten_at=\[\] names no norm'),
        (None, r'whiten_at=None is no preset'),
    ],
)
def test_errors_say_what_would_match(whiten_at, message):
    with pytest.raises(PlacementError, match=message):
        place_norms(_small(), dict(type='SN'), whiten_at)


def test_a_network_without_norms_is_told_so():
    with pytest.raises(PlacementError, match='matches no norm; there are non'):
        place_norms(nn.Sequential(nn.Conv2d(3, 8, 3)), dict(type='SN'), ['*'])


@pytest.mark.parametrize(
    'whiten_cfg, message',
    [
        (dict(type='SWW'), r"whiten_cfg\.type='SWW'.*did you mean SW"),
        (dict(num_pergroup=4), r'whiten_cfg has no type'),
        (
            dict(type='SW', num_pergroup=3),
            r'whiten_cfg at 1: num_features=8 is not divisible by '
            r'num_pergroup=3; .*2 or 4',
        ),
        (dict(type='GW', num_groups=3), r'at 1: .*num_groups=3'),
        (dict(type='SW', sw_tipe=3), r"at 1: .*'sw_tipe'"),
    ],
)
def test_a_bad_whiten_cfg_leaves_the_network_as_it_was(whiten_cfg, message):
    model = _small()
    before = list(model)
    with pytest.raises(PlacementError, match=message):
        place_norms(model, whiten_cfg, ['*'])
    assert list(model) == before


def test_every_norm_with_channels_can_be_replaced():
    model = _small()
    others = [model[0], model[5]]
    assert place_norms(model, dict(type='GW'), 'all') == ['1', '2', '3', '4']
    assert [type(m) for m in model[1:5]] == [GW] * 4
    assert [model[0], model[5]] == others
    assert [m.placement for m in model[1:5]] == ['all'] * 4
    assert model(torch.randn(2, 3, 10, 10)).isfinite().all()


def test_a_norm_that_does_more_than_normalize_is_left_alone():
    class NormAct(nn.BatchNorm2d):  # timm's BatchNormAct2d
        def __init__(self, channels):
            super().__init__(channels)
            self.act = nn.ReLU()

    model = nn.Sequential(NormAct(8), nn.BatchNorm2d(8))
    assert place_norms(model, dict(type='SN'), 'all') == ['1']


def test_the_pretrained_state_is_taken_over():
    model = nn.Sequential(nn.BatchNorm2d(8), nn.GroupNorm(2, 8)).double()
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 2)
    model.eval()
    x = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    expected = model[0](x)
    weight = model[1].weight.detach().clone()
    place_norms(model, dict(type='BW', num_pergroup=1), ['0'])
    place_norms(model, dict(type='SW'), ['1'])
    assert isinstance(model[0], BW) and isinstance(model[1], SW)
    # With one channel a group BW is BN.
    torch.testing.assert_close(model[0](x), expected)
    torch.testing.assert_close(model[1].weight.detach(), weight)
    assert not model[0].training and not model[1].training
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_a_replaced_norm_of_the_family_keeps_weight_and_bias_alone():
    model = nn.Sequential(SW(8), SN(8))
    for norm in model:
        norm.weight.data.fill_(3)
        norm.running_mean.fill_(5)
    place_norms(model, dict(type='BW'), 'all')
    assert (model[0].weight == 3).all() and (model[1].weight == 3).all()
    # A covariance says nothing about another norm's matrices, a variance does.
    assert (model[0].running_mean == 0).all()
    assert (model[1].running_mean == 5).all()


@pytest.mark.parametrize('requires_grad', [True, False])
def test_placed_norms_are_trained_as_whiten_cfg_says(requires_grad):
    model = nn.Sequential(nn.BatchNorm2d(8)).requires_grad_(False)
    cfg = dict(type='SW', requires_grad=requires_grad)
    place_norms(model, cfg, 'all')
    assert {p.requires_grad for p in model.parameters()} == {requires_grad}


def test_a_norm_with_several_names_stays_one():
    shared = nn.BatchNorm2d(8)
    model = nn.ModuleDict(dict(a=nn.Sequential(shared), b=shared))
    assert place_norms(model, dict(type='SN'), ['a.0']) == ['a.0']
    assert isinstance(model['b'], SN) and model['a'][0] is model['b']


def test_torch_norms_can_be_placed_too():
    pytest.importorskip('mmcv.cnn')
    model = nn.Sequential(nn.BatchNorm2d(8), nn.BatchNorm2d(8))
    place_norms(model, dict(type='GN', num_groups=2), ['0'])
    place_norms(model, dict(type='IN'), ['1'])
    assert isinstance(model[0], nn.GroupNorm) and model[0].num_groups == 2
    assert isinstance(model[1], nn.InstanceNorm2d)


def test_placements_survive_a_deep_copy():
    model = _small()
    place_norms(model, dict(type='SW'), ['1'])
    copied = copy.deepcopy(model)
    assert copied[1].placement == '1' and copied[1] is not model[1]
    assert copied.state_dict().keys() == model.state_dict().keys()


def test_all_needs_a_norm():
    with pytest.raises(PlacementError, match="'all' matches no norm; there a"):
        place_norms(nn.Sequential(nn.Conv2d(3, 8, 3)), dict(type='SW'), 'all')


@pytest.mark.parametrize('batch_norm_too', [True, False])
def test_all_names_the_norms_that_it_cannot_replace(batch_norm_too):
    parametrized = nn.BatchNorm2d(8)
    register_parametrization(parametrized, 'weight', nn.Softplus())
    norms = [nn.BatchNorm2d(8)] * batch_norm_too + [parametrized]
    model = nn.ModuleDict({str(i): norm for i, norm in enumerate(norms)})
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        if batch_norm_too:
            assert place_norms(model, dict(type='SW'), 'all') == ['0']
            (said,) = [r.getMessage() for r in records if r.levelno >= 30]
        else:
            with pytest.raises(PlacementError) as raised:
                place_norms(model, dict(type='SW'), 'all')
            said = str(raised.value)
    finally:
        logger.removeHandler(handler)
    assert f'{len(norms) - 1} (ParametrizedBatchNorm2d) cannot be' in said


@pytest.mark.parametrize(
    'old',
    [
        nn.BatchNorm2d(8, eps=1e-3, momentum=0.03),
        nn.BatchNorm2d(8, eps=1e-3, momentum=None),
        nn.InstanceNorm2d(8, eps=1e-2, momentum=0.5),
        SN(8, eps=1e-3, momentum=0.03),
    ],
    ids=repr,
)
@pytest.mark.parametrize('name', [norm.__name__ for norm in NORMS])
def test_eps_and_momentum_are_kept_unless_whiten_cfg_has_them(old, name):
    model = nn.Sequential(old, copy.deepcopy(old), copy.deepcopy(old))
    place_norms(model, dict(type=name), ['0'])
    place_norms(model, dict(type=name, eps=1e-4), ['1'])
    place_norms(model, dict(type=name, momentum=0.2), ['2'])
    assert [(norm.eps, norm.momentum) for norm in model] == [
        (old.eps, old.momentum),
        (1e-4, old.momentum),
        (old.eps, 0.2),
    ]


def test_eps_alone_is_kept_where_there_is_no_momentum():
    model = nn.Sequential(nn.GroupNorm(2, 8, eps=1e-3), nn.BatchNorm2d(8, 0.1))
    place_norms(model, dict(type='SW'), ['0'])
    place_norms(model, dict(type=nn.GroupNorm, num_groups=2), ['1'])
    assert (model[0].eps, model[0].momentum) == (1e-3, 0.1)
    assert model[1].eps == 0.1


def test_the_process_group_of_sync_norms_is_kept():
    group = object()
    model = nn.Sequential(nn.SyncBatchNorm(8, process_group=group))
    for name in ('SyncSW', 'SyncItN'):
        place_norms(model, dict(type=name), 'all')
        assert model[0].process_group is group
    place_norms(model, dict(type='ItN'), 'all')


@pytest.mark.parametrize('lazy', [nn.LazyBatchNorm2d, nn.LazyInstanceNorm2d])
def test_a_lazy_norm_needs_a_forward_pass(lazy):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), lazy())
    before = list(model)
    with pytest.raises(PlacementError, match=f'1 is a {lazy.__name__} whose'):
        place_norms(model, dict(type='SW'), 'all')
    assert list(model) == before


def test_a_lazy_norm_can_be_replaced_after_a_forward_pass():
    model = nn.Sequential(nn.LazyBatchNorm2d())
    model(torch.randn(2, 8, 4, 4))
    place_norms(model, dict(type='SW'), 'all')
    assert model[0].num_features == 8


def _frozen_batch_norm(toolkit):
    if toolkit == 'torchvision':
        return FrozenBatchNorm2d(8, eps=1e-3)
    pytest.importorskip('mmdet')
    from mmdet.models.layers import FrozenBatchNorm2d as OfMMDet

    return OfMMDet(8, eps=1e-3)


@pytest.mark.parametrize('toolkit', ['torchvision', 'mmdet'])
def test_a_frozen_batch_norm_is_replaced_with_its_statistics(toolkit):
    model = nn.Sequential(_frozen_batch_norm(toolkit)).eval()
    for value in model.state_dict().values():
        value.uniform_(0.5, 2)
    x = torch.randn(2, 8, 4, 4)
    expected = model(x)
    place_norms(model, dict(type='BW', num_pergroup=1), 'all')
    assert isinstance(model[0], BW) and model[0].weight.requires_grad
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def _pruned():
    norm = nn.BatchNorm2d(8)
    prune.l1_unstructured(norm, 'weight', amount=0.5)
    return norm


def _observed():
    norm = nn.BatchNorm2d(8)
    norm.register_forward_hook(lambda module, inputs, output: None)
    return norm


@pytest.mark.parametrize('build', [_pruned, _observed])
def test_a_norm_with_hooks_is_not_replaced(build):
    model = nn.Sequential(nn.BatchNorm2d(8), build())
    before = list(model)
    with pytest.raises(PlacementError, match='1 .BatchNorm2d. has hooks'):
        place_norms(model, dict(type='SW'), 'all')
    assert list(model) == before


def test_norms_in_containers_are_replaced_in_place():
    norms = nn.ModuleDict(
        dict(a=nn.ModuleList([nn.BatchNorm2d(8)]), b=nn.BatchNorm2d(8))
    )
    place_norms(norms, dict(type='SW'), 'all')
    assert isinstance(norms['a'][0], SW) and isinstance(norms['b'], SW)
    assert list(norms) == ['a', 'b']


def test_a_conv_module_stops_folding_batch_norm_in_evaluation():
    cnn = pytest.importorskip('mmcv.cnn')
    if not hasattr(cnn.ConvModule, 'turn_on_efficient_conv_bn_eval'):
        pytest.skip('mmcv before 2.1')
    model = nn.Sequential(
        cnn.ConvModule(
            3, 8, 3, norm_cfg=dict(type='BN'), efficient_conv_bn_eval=True
        )
    ).eval()
    place_norms(model, dict(type='SN'), 'all')
    x = torch.randn(2, 3, 8, 8)
    expected = model[0].norm(model[0].conv(x)).relu()
    torch.testing.assert_close(model(x), expected)
