"""Presets are the norms that the papers replace."""

import re

import pytest
import torch
from torchvision.models import mobilenet_v2

from whiten_plugins.placement import place_norms, presets
from whiten_plugins.placement.errors import PlacementError
from whiten_plugins.placement.patterns import match_norms
from whiten_plugins.placement.presets import PRESETS

from .test_placement import _names

DEPTHS = (18, 34, 50, 101, 152)


def _chosen(depth, preset):
    return list(match_norms(_names(depth), preset))


def _layer_indices(depth, preset):
    """Which convolutions the chosen norms follow, without shortcuts, from
    1, as SW supplement B counts."""
    order = [name for name in _names(depth) if 'downsample' not in name]
    chosen = _chosen(depth, preset)
    return [i + 1 for i, name in enumerate(order) if name in chosen]


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
        ('ibn-a', 13),
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


@pytest.mark.parametrize('depth', [18, 50, 101])
def test_ibn_a_is_the_first_norm_of_the_blocks_of_three_stages(depth):
    """As resnet*_ibn_a of IBN-Net: layer1 to layer3, the stem is BN's."""
    expected = [
        name
        for name in _names(depth)
        if re.fullmatch(r'layer[123]\.\d+\.bn1', name)
    ]
    assert _chosen(depth, 'ibn-a') == expected


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
