"""Synthetic checkpoints in the published layouts.

Keys and shapes are those of the authors' files; nothing is shared with the
package.
"""

import math
import re
from dataclasses import dataclass

import torch

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


@dataclass(frozen=True)
class Network:
    """A published ResNet.

    Attributes:
        layout: whose.
        depth: 18 to 152.
        width: channels of the stem.
        rows: channels that are whitened together (SW, IterNorm).
        num_ratios: statistics that SN or SW mixes.
        groups, base_width: of ResNeXt's 3×3 convolutions; 1 for a ResNet.
        deep_stem: three 3×3 convolutions instead of one 7×7.
        counts: whether BatchNorms have ``num_batches_tracked``.
        after_addition: IBN-b, not IBN-a.
    """

    layout: str
    depth: int = 50
    width: int = 8
    rows: int = 4
    num_ratios: int = 2
    groups: int = 1
    base_width: int = 0
    deep_stem: bool = False
    counts: bool = True
    after_addition: bool = False

    @property
    def bottleneck(self):
        return self.depth >= 50

    def norm_key(self, place):
        """The published name of a norm, by its name in torchvision."""
        attribute = {'SN': 'sn', 'SW': 'sw'}.get(self.norm_type(place), 'bn')
        head, _, last = place.rpartition('.')
        last = last.replace('bn', attribute)
        return f'{head}.{last}' if head else last

    def adds_norm(self, block):
        """Whether a norm follows the addition: last blocks of two stages."""
        ends = [f'layer{i}.{BLOCKS[self.depth][i - 1] - 1}' for i in (1, 2)]
        return self.after_addition and block in ends

    def norm_type(self, place):
        """Which norm stands at a place."""
        stem = place == 'bn1'
        inner = 'bn2' if self.bottleneck else 'bn1'
        layer = place.startswith('layer') and place.endswith(inner)
        if self.layout == 'sn':
            return 'SN'
        if self.layout == 'sw':
            # Every second block of the first three stages.
            released = re.match(r'layer[123]\.\d*[13579]\.', place)
            return 'SW' if stem or (layer and released) else 'BN'
        if self.layout == 'gw':
            return 'GW' if stem or layer else 'BN'
        if self.layout == 'itn':
            return 'ItN' if stem else 'BN'
        if self.after_addition:
            return 'IN' if stem or place.endswith('.IN') else 'BN'
        if self.layout == 'ibn':
            # IBN-a: the first norm of each block of the first three stages.
            first = re.match(r'layer[123]\.\d+\.bn1$', place)
            return 'IBN' if first else 'BN'
        return 'BN'


def checkpoint(network, seed=0):
    """The state dict of a network with random weights, a head included."""
    random = torch.Generator().manual_seed(seed)
    state = {}

    def conv(key, outputs, inputs, size):
        weight = torch.randn(outputs, inputs, size, size, generator=random)
        scale = math.sqrt(2 / (inputs * size * size))
        state[f'{key}.weight'] = weight * scale

    def norm(place, channels):
        for name, value in _norm_state(
            network, place, channels, random
        ).items():
            state[f'{network.norm_key(place)}.{name}'] = value

    width = network.width
    if network.deep_stem:
        sizes = (3, width // 2, width // 2, width)
        for i in range(3):
            conv(f'conv1.{3 * i}', sizes[i + 1], sizes[i], 3)
            if i < 2:
                norm(f'conv1.{3 * i + 1}', sizes[i + 1])
    else:
        conv('conv1', width, 3, 7)
    norm('bn1', width)
    inputs = width
    for stage, count in enumerate(BLOCKS[network.depth]):
        planes = width * 2**stage
        for index in range(count):
            block = f'layer{stage + 1}.{index}'
            inputs = _block(network, block, inputs, planes, conv, norm)
    state['fc.weight'] = torch.randn(5, inputs, generator=random)
    state['fc.bias'] = torch.zeros(5)
    return state


def _block(network, block, inputs, planes, conv, norm):
    outputs, inner = planes, planes
    if network.bottleneck:
        outputs = 4 * planes
        if network.groups > 1:
            per_group = planes * network.base_width // network.width
            inner = per_group * network.groups
        shapes = [
            (inner, inputs, 1),
            (inner, inner // network.groups, 3),
            (outputs, inner, 1),
        ]
    else:
        shapes = [(planes, inputs, 3), (planes, planes, 3)]
    for k, (out, into, size) in enumerate(shapes, 1):
        conv(f'{block}.conv{k}', out, into, size)
        norm(f'{block}.bn{k}', out)
    if inputs != outputs or (block[-2:] == '.0' and block[:6] != 'layer1'):
        conv(f'{block}.downsample.0', outputs, inputs, 1)
        norm(f'{block}.downsample.1', outputs)
    if network.adds_norm(block):
        norm(f'{block}.IN', outputs)
    return outputs


def _norm_state(network, place, channels, random):
    kind = network.norm_type(place)
    c = min(network.rows, channels)
    grouped = (channels // c, c)

    def uniform(*shape):
        return 0.5 + torch.rand(shape, generator=random)

    def normal(*shape):
        return 0.1 * torch.randn(shape, generator=random)

    def matrices():
        root = normal(*grouped, c) + torch.eye(c)
        return root @ root.mT

    logits = (network.num_ratios,)
    image = (1, channels, 1, 1)
    if kind == 'SN':
        state = {
            'weight': uniform(*image),
            'bias': normal(*image),
            'mean_weight': 10 * normal(*logits),
            'var_weight': 10 * normal(*logits),
        }
        if network.num_ratios == 3:
            state['running_mean'] = normal(1, channels, 1)
            state['running_var'] = uniform(1, channels, 1)
        return state
    if kind == 'SW':
        return {
            'weight': uniform(channels),
            'bias': normal(channels),
            'sw_mean_weight': 10 * normal(*logits),
            'sw_var_weight': 10 * normal(*logits),
            'running_mean': normal(*grouped, 1),
            'running_cov': matrices(),
        }
    if kind == 'IBN':
        half = channels // 2
        state = {
            'IN.weight': uniform(half),
            'IN.bias': normal(half),
            'BN.weight': uniform(channels - half),
            'BN.bias': normal(channels - half),
            'BN.running_mean': normal(channels - half),
            'BN.running_var': uniform(channels - half),
        }
        if network.counts:
            state['BN.num_batches_tracked'] = torch.tensor(7)
        return state
    if kind == 'IN':
        return {'weight': uniform(channels), 'bias': normal(channels)}
    if kind == 'GW':
        return {'weight': uniform(*image), 'bias': normal(*image)}
    if kind == 'ItN':
        return {
            'weight': uniform(*image),
            'bias': normal(*image),
            'running_mean': normal(*grouped, 1),
            'running_wm': matrices(),
        }
    state = {
        'weight': uniform(channels),
        'bias': normal(channels),
        'running_mean': normal(channels),
        'running_var': uniform(channels),
    }
    if network.counts:
        state['num_batches_tracked'] = torch.tensor(7)
    return state
