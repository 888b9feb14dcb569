"""Where a source is found, and what is refused as one."""

import pytest
import torch

from tests.checkpoints.conversion.published import Network, checkpoint
from whiten_plugins.checkpoints.conversion import ConversionError, fetching
from whiten_plugins.checkpoints.conversion.fetching import resolve
from whiten_plugins.checkpoints.conversion.source import read_source
from whiten_plugins.checkpoints.reading import CheckpointError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    folder = tmp_path / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)

    def download(url, file):
        raise OSError('no network')

    monkeypatch.setattr(fetching, 'download', download)
    return folder


@pytest.mark.parametrize(
    ('name', 'file'),
    [
        ('torchvision://resnet50', 'resnet50-0676ba61.pth'),
        ('torchvision://resnet50.imagenet1k_v2', 'resnet50-11ad3fa6.pth'),
        ('torchvision://resnext50_32x4d', 'resnext50_32x4d-7cdf4587.pth'),
        ('open-mmlab://resnet50_v1c', 'resnet50_v1c-2cccc1ad.pth'),
    ],
)
def test_model_zoos_are_those_of_torchs_cache(cache, name, file):
    with pytest.raises(ConversionError, match=f'not in the cache.*{file}'):
        resolve(name)
    (cache / file).touch()
    assert resolve(name) == cache / file


def test_an_unknown_model_gets_a_suggestion(cache):
    with pytest.raises(ConversionError, match='did you mean .*resnet50'):
        resolve('torchvision://resnet5')


def test_an_unknown_scheme_names_those_known():
    with pytest.raises(ConversionError, match='torchvision:// and open-mm'):
        resolve('ftp://host/resnet50.pth')


def _read(tmp_path, state, layout='auto'):
    path = tmp_path / 'source.pth'
    torch.save(state, path)
    return read_source(path, layout)


def test_sn_without_batch_statistics_mixes_in_and_ln(tmp_path):
    state = checkpoint(Network('sn', 18, num_ratios=2))
    source = _read(tmp_path, state)
    assert {ratios.stats for ratios in source.learned} == {('in', 'ln')}
    assert [ratios.name for ratios in source.learned][:2] == [
        'bn1',
        'layer1.0.bn1',
    ]


def _pre_activation():
    """SN "v2": norms as wide as what comes before the convolutions."""
    state = checkpoint(Network('sn', num_ratios=3))
    for key in [key for key in state if '.conv1.' in key]:
        channels = state[key].shape[1]
        norm = key.replace('conv1.weight', 'sn1')
        for tensor in ('weight', 'bias'):
            state[f'{norm}.{tensor}'] = torch.ones(1, channels, 1, 1)
        for tensor in ('running_mean', 'running_var'):
            state[f'{norm}.{tensor}'] = torch.ones(1, channels, 1)
    return state


def _changed(key, value):
    return {**checkpoint(Network('sw', 18)), key: value}


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        (_pre_activation(), 'pre-activation'),
        ({'features.0.weight': torch.ones(1)}, 'is not a ResNet'),
        (_changed('bn9\x1b[2J', torch.ones(1)), 'is not a key of a network'),
        (_changed('conv1.weight', torch.full((1,), torch.nan)), 'NaN or Inf'),
        (
            _changed('layer1.0.bn1.running_var', -torch.ones(8)),
            'layer1.0.bn1.running_var holds negative',
        ),
        (
            {
                **checkpoint(Network('sw', 18)),
                'sw1.sw_mean_weight': torch.ones(4),
                'sw1.sw_var_weight': torch.ones(4),
            },
            'bn1: 4 ratios; SW has 2, 3, 5',
        ),
        (
            _changed('sw1.sw_var_weight', torch.ones(3)),
            r'bn1: mean_weight \(2,\) and var_weight \(3,\)',
        ),
        (
            _changed('sw1.running_cov', torch.ones(3, 4, 4)),
            r'bn1.running_cov is \(3, 4, 4\), not \(G, c, c\) with G·c = 8',
        ),
        (
            _changed('layer1.0.bn2.bias', torch.ones(9)),
            r'layer1.0.bn2.\w+ is \(8,\), but the norm there has 9',
        ),
        (
            _changed('layer1.0.bn2.num_batches_tracked', torch.ones(0)),
            'layer1.0.bn2.num_batches_tracked is not a number',
        ),
        (
            {'backbone.a': torch.ones(1), 'rpn_head.b': torch.ones(1)},
            r'detector or segmentor \(it holds backbone, rpn_head\)',
        ),
    ],
    ids=[
        'pre-activation',
        'other',
        'key',
        'nan',
        'variance',
        'ratios',
        'unequal',
        'matrix',
        'vector',
        'count',
        'detector',
    ],
)
def test_bad_weights_are_named(tmp_path, state, message):
    with pytest.raises(CheckpointError, match=message):
        _read(tmp_path, state)
