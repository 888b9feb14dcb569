"""A converted checkpoint in three lines."""

import json

import pytest
import torch

from tests.checkpoints.conversion.published import Network, checkpoint
from whiten_plugins.checkpoints.conversion import convert_checkpoint
from whiten_plugins.checkpoints.conversion.backbone import (
    build_backbone,
    read_config,
)

# The same norms as the published network has, in the names of a config.
SAME_NORMS = {
    'torchvision': dict(type='mmdet.ResNet'),
    'sw': dict(
        type='mmdet.WhitenResNet',
        whiten_cfg=dict(type='SW', num_pergroup=4),
        whiten_at='sw7-released',
    ),
    'sn': dict(type='mmdet.ResNet', norm_cfg=dict(type='SN')),
    'gw': dict(
        type='mmdet.WhitenResNet',
        whiten_cfg=dict(type='GW'),
        whiten_at='s1b2',
    ),
    'itn': dict(
        type='mmdet.WhitenResNet',
        whiten_cfg=dict(type='ItN', num_pergroup=4),
        whiten_at='s1',
    ),
    'ibn': dict(
        type='mmdet.WhitenResNet',
        whiten_cfg=dict(type='IBN'),
        whiten_at='ibn-a',
    ),
}


def tiny(**changes):
    """Arguments of a backbone as wide as the synthetic networks."""
    return dict(depth=50, base_channels=8, **changes)


SOURCES = {
    'torchvision': Network('torchvision'),
    'sw-2': Network('sw', num_ratios=2),
    'sw-3': Network('sw', num_ratios=3),
    'sw-5': Network('sw', num_ratios=5),
    'sn': Network('sn', num_ratios=3),
    'sn-(8,1)': Network('sn', num_ratios=2),
    'gw': Network('gw'),
    'itn': Network('itn'),
    'ibn': Network('ibn'),
    'ibn-b': Network('ibn', after_addition=True),
}


def same_norms(network, **changes):
    """A config's backbone with the norms of a published network."""
    backbone = tiny(**SAME_NORMS[network.layout])
    if network.layout == 'sw':
        norm = dict(backbone['whiten_cfg'], sw_type=network.num_ratios)
        backbone['whiten_cfg'] = norm
    if network.layout == 'gw' and not network.bottleneck:
        backbone['whiten_at'] = 's1b1'  # the norm before the last convolution
    if network.layout == 'sn' and network.num_ratios == 2:
        backbone['norm_cfg'] = dict(type='SN', stats=('in', 'ln'))
    if network.after_addition:
        norm = dict(type='IBN', half=1)
        backbone.update(whiten_cfg=norm, whiten_at='ibn-b')
    return {**backbone, 'depth': network.depth, **changes}


class Conversions:
    """Converts synthetic checkpoints in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def save(self, state, name='source.pth'):
        path = self.folder / name
        torch.save(state, path)
        return path

    def config(self, backbone, name='config.py'):
        path = self.folder / name
        path.write_text(f'model = dict(backbone={backbone!r})\n')
        return path

    def convert(self, source, backbone, **options):
        """Returns the checkpoint, the backbone that loaded it strictly, and
        the report."""
        if isinstance(source, Network):
            source = checkpoint(source)
        if isinstance(source, dict):
            source = self.save(source)
        dst = self.folder / 'converted.pth'
        config = self.config(backbone)
        convert_checkpoint(source, dst, config, overwrite=True, **options)
        loaded = torch.load(dst, weights_only=True)
        report = json.loads(dst.with_suffix('.json').read_text())
        model = build(config)
        model.load_state_dict(loaded['state_dict'], strict=True)
        model.eval()
        return loaded, model, report

    def back(self, to, source='converted.pth', **options):
        """Returns the state dict of a published layout."""
        dst = self.folder / 'published.pth'
        path = self.folder / source
        convert_checkpoint(path, dst, to=to, overwrite=True, **options)
        return torch.load(dst, weights_only=True)['state_dict']


def build(config):
    """The backbone of a config."""
    return build_backbone(*read_config(config))


def check_identical(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        assert found[key].shape == value.shape, key
        assert torch.equal(found[key], value), key


@pytest.fixture
def conversions(tmp_path):
    return Conversions(tmp_path)


@pytest.fixture
def images():
    return torch.randn(
        2, 3, 64, 64, generator=torch.Generator().manual_seed(1)
    )
