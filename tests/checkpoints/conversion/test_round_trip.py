"""What came from a published layout goes back to it unchanged."""

from dataclasses import replace

import pytest

from tests.checkpoints.conversion.conftest import (
    SOURCES,
    check_identical,
    same_norms,
)
from tests.checkpoints.conversion.published import Network, checkpoint
from whiten_plugins.checkpoints.conversion import ConversionError

pytest.importorskip('mmdet')


@pytest.mark.parametrize('network', SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize('counts', [True, False])
def test_there_and_back_is_the_identity(conversions, network, counts):
    network = replace(network, depth=18, counts=counts)
    state = checkpoint(network)
    conversions.convert(state, same_norms(network))
    body = {k: v for k, v in state.items() if not k.startswith('fc.')}
    check_identical(conversions.back(network.layout), body)
    config = conversions.folder / 'config.py'
    again = conversions.back(network.layout, config=config)
    check_identical(again, body)


def test_a_deep_stem_comes_back_under_its_name(conversions):
    pytest.importorskip('mmseg')
    network = Network('sw', 18, deep_stem=True)
    state = checkpoint(network)
    backbone = same_norms(
        network, type='mmseg.WhitenResNetV1c', stem_channels=8
    )
    conversions.convert(state, backbone)
    body = {k: v for k, v in state.items() if not k.startswith('fc.')}
    check_identical(conversions.back('sw'), body)


def test_counts_that_training_raised_go_back(conversions):
    network = Network('torchvision', 18, counts=False)
    loaded, _, _ = conversions.convert(network, same_norms(network))
    loaded['state_dict']['bn1.num_batches_tracked'] += 3
    conversions.save(loaded, 'trained.pth')
    counts = [
        key
        for key in conversions.back('torchvision', 'trained.pth')
        if key.endswith('num_batches_tracked')
    ]
    assert counts == ['bn1.num_batches_tracked']


@pytest.mark.parametrize(
    ('layout', 'to', 'message'),
    [
        ('sw', 'torchvision', 'bn1 is SW, but this layout holds BN'),
        ('sw', 'sn', 'bn1 is SW, but this layout holds SN'),
        ('torchvision', 'sn', 'bn1 is BN, but this layout holds SN'),
        ('gw', 'itn', 'bn1 is GW, but this layout holds ItN and BN'),
    ],
)
def test_norms_that_a_layout_cannot_hold(conversions, layout, to, message):
    network = Network(layout, 18)
    conversions.convert(network, same_norms(network))
    with pytest.raises(ConversionError, match=message):
        conversions.back(to)


@pytest.mark.parametrize(
    ('norm_cfg', 'message'),
    [
        (dict(type='SN', ratio_groups=2), 'ratio_groups=2'),
        (dict(type='SN', tie_weight=True), 'no var_weight'),
        (dict(type='SN', affine=False), 'no weight'),
    ],
)
def test_arguments_that_a_layout_cannot_hold(conversions, norm_cfg, message):
    network = Network('torchvision', 18)
    backbone = same_norms(network, norm_cfg=norm_cfg)
    conversions.convert(network, backbone)
    with pytest.raises(ConversionError, match=message):
        conversions.back('sn')


def test_the_split_of_channels_goes_with_the_checkpoint(conversions):
    """Also without the config, and where it is not the usual half."""
    network = Network('ibn', 18)
    state = checkpoint(network)
    norm = dict(type='IBN', half=0.25)
    backbone = same_norms(network, whiten_cfg=norm)
    with pytest.raises(ConversionError, match='has 4 channels with Instance'):
        conversions.convert(state, backbone)
    conversions.convert(Network('torchvision', 18), backbone)
    published = conversions.back('ibn')
    assert published['layer1.0.bn1.IN.weight'].shape == (2,)
    assert published['layer1.0.bn1.BN.running_var'].shape == (6,)


def test_ibn_b_needs_a_backbone_with_its_norms(conversions):
    network = Network('ibn', 18, after_addition=True)
    with pytest.raises(ConversionError, match=r'holds layer1\.1\.IN'):
        conversions.convert(network, same_norms(Network('ibn', 18)))
