"""Layouts are told apart, and names and shapes go both ways."""

import pytest
import torch

from tests.checkpoints.conversion.published import Network, checkpoint
from whiten_plugins.checkpoints.conversion import LAYOUTS, ConversionError
from whiten_plugins.checkpoints.conversion.layouts import (
    detect_layout,
    to_ours,
)

PUBLISHED = [name for name in LAYOUTS if name != 'mm']


def _state(layout):
    ratios = 3 if layout == 'sn' else 2
    return checkpoint(Network(layout, 18, num_ratios=ratios))


@pytest.mark.parametrize('layout', PUBLISHED)
def test_a_layout_is_detected(layout):
    assert detect_layout(_state(layout)) == layout
    assert detect_layout(_state(layout), layout) == layout


@pytest.mark.parametrize('layout', ['sw', 'sn', 'gw', 'itn'])
def test_ours_is_detected(layout):
    assert detect_layout(to_ours(_state(layout), layout)) == 'mm'


def test_a_bn_network_of_ours_is_torchvisions():
    assert detect_layout(_state('torchvision'), 'mm') == 'mm'


@pytest.mark.parametrize(
    ('layout', 'asked'), [('sw', 'sn'), ('torchvision', 'gw'), ('itn', 'gw')]
)
def test_another_layout_than_the_one_named_is_refused(layout, asked):
    message = f'--source {asked}: .* those of --source {layout}'
    with pytest.raises(ConversionError, match=message):
        detect_layout(_state(layout), asked)


@pytest.mark.parametrize('layout', PUBLISHED)
def test_ours_have_one_name_and_shape_for_every_norm(layout):
    state = to_ours(_state(layout), layout)
    for key, value in state.items():
        module, _, tensor = key.rpartition('.')
        assert 'sw' not in module and 'sn' not in module
        if 'bn' in module and tensor in ('weight', 'bias', 'running_mean'):
            assert value.dim() == 1, key
    assert {'bn1.weight', 'layer1.0.bn2.weight'} <= state.keys()


def test_reading_copies_nothing():
    state = _state('sn')
    ours = to_ours(state, 'sn')
    assert ours['bn1.weight'].data_ptr() == state['sn1.weight'].data_ptr()


def test_unknown_keys_stay():
    state = {**_state('sw'), 'last_bn.weight': torch.ones(8)}
    ours = to_ours(state, 'sw')
    assert {'fc.weight', 'last_bn.weight'} <= ours.keys()
