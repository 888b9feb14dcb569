"""Keras' ResNet-50, as TensorFlow.js stores it, becomes a caffe-style one."""

import json

import pytest
import torch
from torch.nn import functional as F

from tests.checkpoints.conversion.conftest import build, tiny
from whiten_plugins.checkpoints.conversion import (
    ConversionError,
    convert_checkpoint,
)

WIDTH = 8
BLOCKS = (3, 4, 6, 3)
EPS = 2e-3


def keras_weights(seed=0):
    """Weights by Keras' names, kernels HWIO."""
    random = torch.Generator().manual_seed(seed)
    weights = {}

    def conv(name, norm, inputs, outputs, size):
        kernel = torch.randn(size, size, inputs, outputs, generator=random)
        weights[f'{name}/kernel'] = kernel * (2 / (inputs * size**2)) ** 0.5
        vectors = {f'{name}/bias': 0.0}
        vectors |= {f'{norm}/gamma': 1.0, f'{norm}/beta': 0.0}
        vectors |= {f'{norm}/moving_mean': 0, f'{norm}/moving_variance': 1.5}
        for key, offset in vectors.items():
            noise = torch.rand(outputs, generator=random) - 0.5
            weights[key] = noise + offset

    conv('conv1', 'bn_conv1', 3, WIDTH, 7)
    inputs = WIDTH
    for stage, count in enumerate(BLOCKS, 2):
        planes = WIDTH * 2 ** (stage - 2)
        for letter in 'abcdef'[:count]:
            sizes = ((inputs, planes, 1), (planes, planes, 3))
            sizes += ((planes, 4 * planes, 1),)
            for branch, size in zip('abc', sizes):
                name = f'{stage}{letter}_branch2{branch}'
                conv(f'res{name}', f'bn{name}', *size)
            if letter == 'a':
                name = f'{stage}a_branch1'
                conv(f'res{name}', f'bn{name}', inputs, 4 * planes, 1)
            inputs = 4 * planes
    weights['fc1000/kernel'] = torch.randn(inputs, 5, generator=random)
    weights['fc1000/bias'] = torch.zeros(5)
    return weights


def keras_features(weights, images):
    """Outputs of the stages in float64, strides in the first 1×1 kernels."""
    weights = {key: value.double() for key, value in weights.items()}

    def conv_norm(x, name, norm, stride=1):
        kernel = weights[f'{name}/kernel'].permute(3, 2, 0, 1)
        padding = kernel.shape[-1] // 2
        x = F.conv2d(x, kernel, weights[f'{name}/bias'], stride, padding)
        names = ('moving_mean', 'moving_variance', 'gamma', 'beta')
        mean, var, gamma, beta = (weights[f'{norm}/{key}'] for key in names)
        return F.batch_norm(x, mean, var, gamma, beta, eps=EPS)

    x = conv_norm(images.double(), 'conv1', 'bn_conv1', 2).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    outputs = []
    for stage, count in enumerate(BLOCKS, 2):
        for letter in 'abcdef'[:count]:
            stride = 2 if stage > 2 and letter == 'a' else 1
            place = f'{stage}{letter}_branch'
            y = x
            for branch in 'abc':
                step = stride if branch == 'a' else 1
                name = f'{place}2{branch}'
                y = conv_norm(y, f'res{name}', f'bn{name}', step)
                y = y.relu() if branch != 'c' else y
            if letter == 'a':
                x = conv_norm(x, f'res{place}1', f'bn{place}1', stride)
            x = (x + y).relu()
        outputs.append(x)
    return outputs


def save(folder, weights, shard_bytes=100_000, **changes):
    """A layers model whose shards cut weights wherever they fall."""
    folder.mkdir(exist_ok=True)
    content = b''.join(w.numpy().tobytes() for w in weights.values())
    shards = [
        content[i : i + shard_bytes]
        for i in range(0, len(content), shard_bytes)
    ]
    names = [f'group1-shard{i + 1}of{len(shards)}' for i in range(len(shards))]
    for name, shard in zip(names, shards):
        (folder / name).write_bytes(shard)
    entries = [
        dict(name=key, shape=list(value.shape), dtype='float32')
        for key, value in weights.items()
    ]
    norms = {key.split('/')[0] for key in weights if key.endswith('gamma')}
    layers = [
        dict(class_name='BatchNormalization', config=dict(name=n, epsilon=EPS))
        for n in sorted(norms)
    ]
    model = {
        'modelTopology': {'model_config': {'config': {'layers': layers}}},
        'weightsManifest': [{'paths': names, 'weights': entries}],
    } | changes
    (folder / 'model.json').write_text(json.dumps(model))
    return folder / 'model.json'


@pytest.fixture
def config(conversions):
    pytest.importorskip('mmdet')
    return conversions.config(tiny(type='mmdet.ResNet', style='caffe'))


@pytest.mark.parametrize('source', ['auto', 'keras'])
def test_features_are_those_of_keras(conversions, config, images, source):
    weights = keras_weights()
    path = save(conversions.folder / 'keras', weights)
    path = path.parent if source == 'keras' else path
    dst = conversions.folder / 'dst.pth'
    report = convert_checkpoint(path, dst, config, source=source)
    assert (report.layout, report.architecture) == (
        'keras',
        'ResNet-50 (1x8d)',
    )
    assert report.fitted.dropped == ['fc.weight', 'fc.bias']
    model = build(config).double()
    model.eval()
    model.load_state_dict(torch.load(dst, weights_only=True)['state_dict'])
    with torch.no_grad():
        found = model(images.double())
    for actual, expected in zip(found, keras_features(weights, images)):
        scale = expected.abs().max()
        assert (actual - expected).abs().max() < 1e-5 * scale


def notes(conversions, style, **images):
    backbone = tiny(type='mmdet.ResNet', style=style)
    path = conversions.folder / 'config.py'
    path.write_text(
        f'model = dict(backbone={backbone!r}, data_preprocessor={images!r})'
    )
    source = save(conversions.folder / 'keras', keras_weights())
    dst = conversions.folder / 'dst.pth'
    return convert_checkpoint(source, dst, path, overwrite=True).notes


def test_its_style_and_images_are_known(conversions):
    bgr = dict(mean=[103.53, 116.28, 123.675], std=[1, 1, 1], bgr_to_rgb=False)
    assert notes(conversions, 'caffe', **bgr) == []
    (note,) = notes(conversions, 'pytorch', **bgr)
    assert "trained with 'caffe' style" in note
    (note,) = notes(conversions, 'caffe', **{**bgr, 'bgr_to_rgb': True})
    assert 'BGR images of [[103.53' in note


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (lambda f: (f / 'group1-shard2of2').unlink(), 'shard2of2: cannot be'),
        (
            lambda f: (f / 'group1-shard2of2').write_bytes(b'123'),
            'shards hold .* bytes, but',
        ),
        (lambda f: (f / 'model.json').write_text('{'), 'not a TensorFlow.js'),
        (
            lambda f: (f / 'model.json').write_text('[]'),
            'not a TensorFlow.js',
        ),
    ],
    ids=['missing', 'short', 'text', 'list'],
)
def test_damaged_files_are_named(conversions, config, spoil, message):
    path = save(conversions.folder / 'keras', keras_weights(), 10**6)
    spoil(path.parent)
    dst = conversions.folder / 'dst.pth'
    with pytest.raises(ConversionError, match=message):
        convert_checkpoint(path, dst, config)
    assert not dst.exists()


@pytest.mark.parametrize(
    ('group', 'message'),
    [
        (dict(paths=['../secret'], weights=[]), "names a shard '../secret'"),
        (dict(paths=['/etc/passwd'], weights=[]), 'names a shard'),
        (
            dict(
                paths=[],
                weights=[dict(name='a', shape=[1], dtype='int32')],
            ),
            'not plain float32',
        ),
        (
            dict(
                paths=[],
                weights=[dict(name='a', shape=[-1], dtype='float32')],
            ),
            'ends at',
        ),
    ],
    ids=['parent', 'absolute', 'dtype', 'shape'],
)
def test_only_plain_weights_beside_it_are_read(
    conversions, config, group, message
):
    (conversions.folder / 'secret').write_bytes(b'1234')
    folder = conversions.folder / 'keras'
    path = save(folder, keras_weights(), weightsManifest=[group])
    with pytest.raises(ConversionError, match=message):
        convert_checkpoint(path, conversions.folder / 'dst.pth', config)


def test_a_convolution_without_its_norm_is_refused(conversions, config):
    weights = {
        key: value
        for key, value in keras_weights().items()
        if not key.startswith('bn3b_branch2a/')
    }
    path = save(conversions.folder / 'keras', weights)
    with pytest.raises(ConversionError, match='no BatchNorm bn3b_branch2a'):
        convert_checkpoint(path, conversions.folder / 'dst.pth', config)
