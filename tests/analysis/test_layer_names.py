"""Layers are placed by their names and sorted as the network runs."""

import pytest

from whiten_plugins.analysis.layer_names import (
    common_name,
    is_shortcut,
    locate,
    network_order,
)


@pytest.mark.parametrize(
    ('name', 'place'),
    [
        ('backbone.bn1', ('backbone', 'stem', 'bn1')),
        ('backbone.stem.7', ('backbone', 'stem', 'stem.7')),
        ('backbone.layer1.0.bn2', ('backbone', 'layer1', '0.bn2')),
        (
            'backbone.layer4.0.downsample.1',
            ('backbone', 'layer4', '0.downsample'),
        ),
        ('layer2.1.bn3', ('backbone', 'layer2', '1.bn3')),
        ('bn1', ('backbone', 'stem', 'bn1')),
        ('backbone.features.3.bn', ('backbone', '', 'features.3')),
        ('neck.lateral_convs.0.bn', ('FPN', '', 'lateral_convs.0')),
        ('neck.convs.0.bn', ('neck', '', 'convs.0')),
        ('rpn_head.rpn_conv.bn', ('RPN head', '', 'rpn_conv')),
        (
            'roi_head.bbox_head.shared_convs.3.bn',
            ('box head', '', 'shared_convs.3'),
        ),
        ('bbox_head.cls_convs.0.bn', ('box head', '', 'cls_convs.0')),
        ('roi_head.mask_head.convs.1.bn', ('mask head', '', 'convs.1')),
        (
            'decode_head.psp_modules.0.1.bn',
            ('decode head', '', 'psp_modules.0.1'),
        ),
        ('auxiliary_head.0.convs.0.bn', ('auxiliary head', '', '0.convs.0')),
        ('body.3', ('network', '', 'body.3')),
    ],
)
def test_place_of_a_layer(name, place):
    assert locate(name) == place


def test_norms_of_a_block_precede_its_shortcut():
    names = [
        'bn1',
        'layer1.0.downsample.1',
        'layer1.0.bn1',
        'layer1.0.bn3',
        'layer1.0.bn2',
        'layer1.1.bn1',
        'decode_head.0',
    ]
    assert network_order(names) == [
        'bn1',
        'layer1.0.bn1',
        'layer1.0.bn2',
        'layer1.0.bn3',
        'layer1.0.downsample.1',
        'layer1.1.bn1',
        'decode_head.0',
    ]


def test_order_outside_of_blocks_is_that_of_the_state_dict():
    names = ['neck.b.1', 'neck.a.0', 'neck.a.10', 'neck.a.2']
    assert network_order(names) == names


def test_shortcuts_and_common_names():
    assert is_shortcut('backbone.layer1.0.downsample.1')
    assert not is_shortcut('backbone.layer1.0.bn1')
    assert common_name('backbone.layer1.0.bn1') == 'layer1.0.bn1'
    assert common_name('neck.convs.0.bn') == 'neck.convs.0.bn'
