"""The network of a checkpoint, in words and in comparison."""

import pytest
import torch
import torchvision

from whiten_plugins.checkpoints.conversion import ConversionError
from whiten_plugins.checkpoints.conversion.architecture import (
    architecture_of,
    check_fits,
)


def _architecture(name):
    with torch.device('meta'):
        state = getattr(torchvision.models, name)().state_dict()
    return architecture_of(state)


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('resnet18', 'ResNet-18'),
        ('resnet34', 'ResNet-34'),
        ('resnet50', 'ResNet-50'),
        ('resnet101', 'ResNet-101'),
        ('resnet152', 'ResNet-152'),
        ('resnext50_32x4d', 'ResNeXt-50 (32x4d)'),
        ('resnext101_32x8d', 'ResNeXt-101 (32x8d)'),
        ('wide_resnet50_2', 'ResNet-50 (1x128d)'),
    ],
)
def test_torchvisions_networks_in_words(name, words):
    assert str(_architecture(name)) == words


def test_a_network_fits_itself_only():
    check_fits(_architecture('resnet50'), _architecture('resnet50'))
    for other in ('resnet34', 'resnet101', 'resnext50_32x4d'):
        with pytest.raises(ConversionError, match='holds a ResNet-50, but'):
            check_fits(_architecture('resnet50'), _architecture(other))


@pytest.mark.parametrize('name', ['vgg11_bn', 'mobilenet_v2', 'densenet121'])
def test_other_networks_are_refused(name):
    with pytest.raises(ConversionError, match='is not a ResNet'):
        _architecture(name)
