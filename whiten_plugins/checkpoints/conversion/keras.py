r"""Read Keras' ResNet-50 as it is published for TensorFlow.js.

A layers model is ``model.json``, which lists its weights, and the files of
their bytes ("shards") beside it. Its ResNet has the stride in the first 1×1
convolution (style ``caffe``), takes BGR images, and has convolutions with
bias; its BatchNorms have an epsilon of their own. Ours have no such bias and
epsilon ``EPS``, which is the same network exactly:

.. math::
    \mu = \mu_{Keras} - b, \qquad
    \sigma^2 = \sigma^2_{Keras} + \epsilon_{Keras} - \epsilon
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import ConversionError

KERAS = 'keras'
EPS = 1e-5  # of the toolkits' BatchNorms
KERAS_EPS = 1e-3  # where the model does not say

_VECTORS = {
    'gamma': 'weight',
    'beta': 'bias',
    'moving_mean': 'running_mean',
    'moving_variance': 'running_var',
}
_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RuntimeError,  # of torch, and of recursion
)
_BRANCH = re.compile(r'(res|bn)([2-5])([a-z]|b\d+)_branch(1|2[abc])$')


def is_keras(path: Path) -> bool:
    """Return whether a path names such a model.

    It is its ``model.json`` or its folder.
    """
    return path.suffix == '.json' or (path / 'model.json').is_file()


def read_keras(path: Path) -> dict[str, Tensor]:
    """Read the model as a state dict in torchvision's names and shapes.

    Args:
        path: ``model.json``, or the folder with it. Its shards stand in the
            same folder.

    Raises:
        ConversionError: if it is another model, or a file of it is missing
            or damaged.
    """
    path = path / 'model.json' if path.is_dir() else path
    try:
        model = json.loads(path.read_text(encoding='utf-8'))
        manifest = model['weightsManifest']
        tensors = dict(
            item for group in manifest for item in _read_group(path, group)
        )
        return dict(_to_torch(_by_layer(tensors), _epsilons(model)))
    except OSError as error:
        raise ConversionError(
            f'{error.filename or path}: cannot be read: {error.strerror}'
        ) from error
    except ConversionError:
        raise
    except _DAMAGE as error:
        raise ConversionError(
            f'{path}: not a TensorFlow.js layers model ({error!r:.80})'
        ) from error


def _by_layer(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    layers: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        layer, _, tensor = name.rpartition('/')
        layers.setdefault(layer.rpartition('/')[2], {})[tensor] = value
    return layers


def _read_group(
    path: Path, group: Mapping[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    shards = []
    for name in group['paths']:
        # A path is a file in the folder: anything else is not followed.
        if Path(name).name != name:
            raise ConversionError(f'{path}: names a shard {name!r:.80}')
        shard = path.parent / name
        if shard.exists() and not shard.is_file():
            raise ConversionError(f'{path}: {name!r:.80} is not a file')
        shards.append(shard.read_bytes())
    content = bytearray(b''.join(shards))
    start = 0
    for entry in group['weights']:
        shape = [int(size) for size in entry['shape']]
        if entry['dtype'] != 'float32' or 'quantization' in entry:
            raise ConversionError(
                f'{path}: {entry["name"]!r:.80} is not plain float32'
            )
        count = math.prod(shape)
        end = start + 4 * count
        if min(shape, default=1) < 1 or end > len(content):
            raise ConversionError(
                f'{path}: its shards hold {len(content)} bytes, but '
                f'{entry["name"]!r:.80} of shape {shape} ends at {end}'
            )
        values = torch.frombuffer(
            content, dtype=torch.float32, count=count, offset=start
        )
        start = end
        yield str(entry['name']).removesuffix(':0'), values.view(shape)
    if start != len(content):
        raise ConversionError(
            f'{path}: its shards hold {len(content)} bytes, its weights '
            f'{start}'
        )


def _epsilons(model: Mapping[str, Any]) -> dict[str, float]:
    """Return the epsilon of each BatchNorm, as far as the model has it."""
    topology = model.get('modelTopology') or {}
    topology = topology.get('model_config', topology)
    layers = topology.get('config', {})
    layers = layers.get('layers', []) if isinstance(layers, dict) else layers
    found = {}
    for layer in layers if isinstance(layers, list) else []:
        config = layer.get('config', {}) if isinstance(layer, dict) else {}
        epsilon = config.get('epsilon')
        if isinstance(epsilon, float) and 0 <= epsilon < 1:
            found[str(config.get('name'))] = epsilon
    return found


def _to_torch(
    layers: Mapping[str, Mapping[str, Tensor]], epsilons: Mapping[str, float]
) -> Iterator[tuple[str, Tensor]]:
    for layer, tensors in layers.items():
        ours, norm = _module(layer)
        if 'kernel' in tensors:
            kernel = tensors['kernel']
            order = (3, 2, 0, 1) if kernel.dim() == 4 else (1, 0)
            yield f'{ours}.weight', kernel.permute(order).contiguous()
            if norm:
                _check_norm(layer, norm, layers)
            elif 'bias' in tensors:
                yield f'{ours}.bias', tensors['bias']
        for name, renamed in _VECTORS.items():
            if name not in tensors:
                continue
            value = tensors[name]
            if name == 'moving_mean':
                convolution = _convolution_of(layer)
                bias = layers.get(convolution, {}).get('bias')
                value = value if bias is None else value - bias
            elif name == 'moving_variance':
                value = value + (epsilons.get(layer, KERAS_EPS) - EPS)
            yield f'{ours}.{renamed}', value


def _module(layer: str) -> tuple[str, str]:
    """Return this package's name of a layer, and a convolution's norm."""
    if layer == 'conv1':
        return 'conv1', 'bn_conv1'
    if layer == 'bn_conv1':
        return 'bn1', ''
    match = _BRANCH.fullmatch(layer)
    if match is None:
        return ('fc' if layer.startswith('fc') else layer), ''
    kind, stage, block, branch = match.groups()
    index = int(block[1:]) if block[1:] else ord(block) - ord('a')
    place = f'layer{int(stage) - 1}.{index}'
    convolution = kind == 'res'
    norm = layer.replace('res', 'bn', 1) if convolution else ''
    if branch == '1':
        return f'{place}.downsample.{0 if convolution else 1}', norm
    number = 'abc'.index(branch[1]) + 1
    return f'{place}.{"conv" if convolution else "bn"}{number}', norm


def _convolution_of(norm: str) -> str:
    if norm == 'bn_conv1':
        return 'conv1'
    return norm.replace('bn', 'res', 1)


def _check_norm(
    layer: str, norm: str, layers: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Check that a convolution's bias has a norm that can absorb it."""
    if 'moving_mean' not in layers.get(norm, {}):
        raise ConversionError(
            f'is not a Keras ResNet: {layer} has no BatchNorm {norm}'
        )
