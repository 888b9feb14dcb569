"""Runs with random ratios and known receptive fields."""

import pytest

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.runs import in_forward_order

from ..synthetic import DETECTOR, convolution, network, save, training

FIELDS = dict(
    zip(DETECTOR, [7, 11, 19, 19, 11, 59, 107, 203, 427, 'RoI', 'RoI'])
)


@pytest.fixture
def one(tmp_path):
    """A checkpoint, with the kernels of two layers."""
    state = {}
    for name, value in network(seed=1).items():
        if name == 'backbone.layer1.0.bn2.weight':
            state |= convolution('backbone.layer1.0.conv2', 3)
        if name == 'backbone.layer1.0.bn3.weight':
            state |= convolution('backbone.layer1.0.conv3', 1)
        state[name] = value
    return in_forward_order(
        read_run(save(tmp_path / 'one.pth', state)), FIELDS
    )


@pytest.fixture
def other(tmp_path):
    """Another checkpoint, of SW, with a layer less and one more."""
    names = [*DETECTOR[1:], 'roi_head.mask_head.convs.1.bn']
    state = network(names, num_stats=5, kind='SW', seed=2)
    return read_run(save(tmp_path / 'other.pth', state))


@pytest.fixture
def trained(tmp_path):
    """A training with seven snapshots."""
    folder = training(tmp_path / 'trained', times=range(10, 80, 10))
    return in_forward_order(read_run(folder), FIELDS)
