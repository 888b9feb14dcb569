"""Presets choose the papers' layers; replacing keeps the rest as it was."""

import copy
import functools
import re

import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2, resnet

from whiten_plugins.norms import BW, GW, SN, SW
from whiten_plugins.placement import place_norms, presets
from whiten_plugins.placement.errors import PlacementError
from whiten_plugins.placement.norm_types import channel_norms
from whiten_plugins.placement.patterns import match_norms
from whiten_plugins.placement.presets import PRESETS

DEPTHS = (18, 34, 50, 101, 152)


@functools.cache
def _names(depth=50):
    with torch.device('meta'):
        return list(channel_norms(getattr(resnet, f'resnet{depth}')()))


def _chosen(depth, preset):
    return list(match_norms(_names(depth), preset))


def _layer_indices(depth, preset):
    """Which convolutions the chosen norms follow, without shortcuts, from
    1, as SW supplement B counts."""
    order = [name for name in _names(depth) if 'downsample' not in name]
    chosen = _chosen(depth, preset)
    return [i + 1 for i, name in enumerate(order) if name in chosen]


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


@pytest.mark.parametrize(
    'preset, count',
    [
        ('sw14', 14),
        ('sw7', 7),
        ('sw7-released', 7),
        ('s1', 1),
        ('s1b1', 17),
        ('s1b2', 17),
        ('s1b3', 17),
        ('s1b12', 33),
        ('l1', 1),
        ('all', 53),
    ],
)
def test_presets_have_the_papers_counts_in_resnet_50(preset, count):
    assert len(_chosen(50, preset)) == count


def test_every_preset_is_in_the_module_docstring():
    for preset in (*PRESETS, 'all'):
        assert f'``{preset}``' in presets.__doc__


@pytest.mark.parametrize(
    'depth, preset, indices',
    [
        (50, 'sw14', [1, *range(3, 40, 3)]),
        (50, 'sw7', [1, *range(6, 37, 6)]),
        (101, 'sw14', [1, *range(3, 91, 3)]),
        (101, 'sw7', [1, *range(6, 91, 6)]),
        (18, 'sw14', [1, *range(2, 13, 2)]),
        (18, 'sw7', [1, *range(4, 13, 4)]),
        (34, 'sw7', [1, *range(4, 25, 4)]),
    ],
)
def test_sw_presets_are_the_layers_of_sw_supplement_b(depth, preset, indices):
    assert _layer_indices(depth, preset) == indices


def test_released_preset_is_the_layout_of_published_sw_checkpoints():
    assert _chosen(50, 'sw7-released') == [
        'bn1',
        'layer1.1.bn2',
        'layer2.1.bn2',
        'layer2.3.bn2',
        'layer3.1.bn2',
        'layer3.3.bn2',
        'layer3.5.bn2',
    ]


@pytest.mark.parametrize('depth', DEPTHS)
@pytest.mark.parametrize(
    'preset, positions', [('s1b1', (1,)), ('s1b2', (2,)), ('s1b12', (1, 2))]
)
def test_gw_presets_are_the_stem_and_positions_of_all_blocks(
    depth, preset, positions
):
    blocks = [n[:-4] for n in _names(depth) if re.match(r'layer.*\.bn1', n)]
    assert len(blocks) == {18: 8, 34: 16, 50: 16, 101: 33, 152: 50}[depth]
    expected = [f'{block}.bn{p}' for block in blocks for p in positions]
    assert _chosen(depth, preset) == ['bn1', *expected]


@pytest.mark.parametrize('depth', DEPTHS)
def test_presets_of_the_stem_alone(depth):
    assert _chosen(depth, 's1') == _chosen(depth, 'l1') == ['bn1']


def test_all_replaces_shortcuts_too():
    names = _chosen(50, 'all')
    assert [name for name in names if 'downsample' in name] == [
        f'layer{stage}.0.downsample.1' for stage in range(1, 5)
    ]


@pytest.mark.parametrize('depth', [18, 34])
def test_a_third_norm_that_the_blocks_lack_is_an_error(depth):
    with pytest.raises(
        PlacementError, match=r"whiten_at='s1b3' needs norm 3.*layer1\.0\.bn2"
    ):
        _chosen(depth, 's1b3')


@pytest.mark.parametrize('preset', PRESETS)
def test_a_preset_needs_a_resnet(preset):
    with (
        torch.device('meta'),
        pytest.raises(
            PlacementError, match=f"'{preset}' needs a ResNet.*features.0.1"
        ),
    ):
        place_norms(mobilenet_v2(), dict(type='SW'), preset)


@pytest.mark.parametrize(
    'names',
    [
        # Res2Net: the 3×3 convolutions have norms in a list of their own.
        ['bn1', 'layer1.0.bn1', 'layer1.0.bns.0', 'layer1.0.bn3'],
        # HRNet: its first stage alone is a ResNet's.
        ['bn1', 'layer1.0.bn1', 'layer1.0.bn2', 'transition1.0.1'],
        # A stage alone, as mmdet's shared head has it.
        ['layer4.0.bn1', 'layer4.0.bn2', 'layer4.0.bn3'],
    ],
)
def test_a_preset_is_not_guessed_in_another_structure(names):
    with pytest.raises(PlacementError, match='needs a ResNet'):
        match_norms(names, 'sw14')


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
        (['bn9'], r"'bn9' matches no norm; the norms are 1, 2, 3, 4$"),
        (['1', 'bn9'], r"'bn9' matches no norm"),
        (['5'], r"'5' matches no norm"),
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
