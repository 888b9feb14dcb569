"""The report says what happened, the same on the terminal, in JSON and in
the checkpoint."""

import json

import pytest
import torch
from rich.console import Console

from tests.checkpoints.conversion.conftest import SAME_NORMS, tiny
from tests.checkpoints.conversion.published import Network, checkpoint
from whiten_plugins.checkpoints.conversion import convert_checkpoint
from whiten_plugins.cli.conversion import print_report

pytest.importorskip('mmdet')


def _ratios(state, key):
    return state[key].softmax(0).tolist()


def test_ratios_of_layers_stages_and_all(conversions):
    state = checkpoint(Network('sw'))
    _, _, report = conversions.convert(state, tiny(**SAME_NORMS['sw']))
    ratios = report['ratios']
    assert list(ratios['layers']) == [
        'bn1',
        'layer1.1.bn2',
        'layer2.1.bn2',
        'layer2.3.bn2',
        'layer3.1.bn2',
        'layer3.3.bn2',
        'layer3.5.bn2',
    ]
    first = ratios['layers']['bn1']
    assert (first['type'], first['stats']) == ('SW', ['bw', 'iw'])
    expected = _ratios(state, 'sw1.sw_var_weight')
    assert list(first['var'].values()) == pytest.approx(expected)
    averages = ratios['averages']
    assert [(k, a['layers']) for k, a in averages.items()] == [
        ('stem', 1),
        ('layer1', 1),
        ('layer2', 2),
        ('layer3', 3),
        ('all', 7),
    ]
    shares = [
        _ratios(state, f'layer2.{i}.sw2.sw_mean_weight')[0] for i in (1, 3)
    ]
    assert averages['layer2']['mean']['bw'] == pytest.approx(sum(shares) / 2)
    shares = [layer['mean']['bw'] for layer in ratios['layers'].values()]
    assert averages['all']['mean']['bw'] == pytest.approx(sum(shares) / 7)


def test_the_ratios_are_the_sources_also_where_they_are_dropped(conversions):
    bn = tiny(type='mmdet.ResNet')
    _, _, report = conversions.convert(Network('sw'), bn)
    assert len(report['ratios']['layers']) == 7


def test_no_ratios_to_report(conversions):
    bn = tiny(type='mmdet.ResNet')
    _, _, report = conversions.convert(Network('torchvision'), bn)
    assert report['ratios'] == {'layers': {}, 'averages': {}}


def test_the_checkpoint_carries_its_report(conversions):
    network = Network('sw', counts=False)
    loaded, _, report = conversions.convert(network, tiny(**SAME_NORMS['sw']))
    meta = loaded['meta']
    version = meta.pop('whiten_plugins_version')
    assert isinstance(version, str)
    assert json.loads(json.dumps(meta)) == report
    assert report['source'] == str(conversions.folder / 'source.pth')
    assert (report['layout'], report['to']) == ('sw', 'mm')
    assert 'bn1.num_batches_tracked' in report['added']
    layers = report['layers']['carried over']
    norms = [k[:-7] for k in loaded['state_dict'] if k.endswith('weight')]
    assert set(layers) <= set(norms) and 'conv1' in layers


@pytest.mark.parametrize(
    ('network', 'backbone', 'options', 'note'),
    [
        (
            Network('sw', num_ratios=5),
            SAME_NORMS['sw'],
            {},
            'logits 3 and 4 of var_weight were never trained',
        ),
        (
            Network('sn', num_ratios=3),
            SAME_NORMS['sn'],
            {},
            'unbiased variance of an instance',
        ),
        (
            Network('torchvision'),
            dict(SAME_NORMS['sn']),
            dict(init_ratios='bn'),
            'start at the batch are 0.999',
        ),
        (
            Network('torchvision'),
            SAME_NORMS['sw'],
            {},
            '7 of them whiten by Newton iterations',
        ),
        (
            Network('gw'),
            {**SAME_NORMS['gw'], 'whiten_cfg': dict(type='GW', num_groups=4)},
            {},
            'have num_groups=64',
        ),
        (
            Network('torchvision'),
            dict(type='mmdet.ResNet', style='caffe'),
            {},
            "style='caffe'",
        ),
    ],
    ids=['sw-5', 'sn', 'bn', 'newton', 'gw', 'caffe'],
)
def test_what_a_user_has_to_know(
    conversions, network, backbone, options, note
):
    _, _, report = conversions.convert(network, tiny(**backbone), **options)
    assert any(note in line for line in report['notes']), report['notes']


@pytest.mark.parametrize('layout', ['torchvision', 'sw', 'gw', 'itn', 'ibn'])
def test_nothing_to_know_of_the_same_norms(conversions, layout):
    backbone = tiny(**SAME_NORMS[layout])
    _, _, report = conversions.convert(Network(layout, 50), backbone)
    wide = [n for n in report['notes'] if 'num_groups' not in n]
    assert wide == []


def test_foreign_preprocessing_is_named(conversions):
    backbone = tiny(type='mmdet.ResNet')
    config = conversions.folder / 'caffe.py'
    config.write_text(
        f'model = dict(backbone={backbone!r}, data_preprocessor=dict('
        f'mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0]))'
    )
    source = conversions.save(checkpoint(Network('torchvision')))
    dst = conversions.folder / 'dst.pth'
    report = convert_checkpoint(source, dst, config)
    assert any('data_preprocessor' in note for note in report.notes)


def test_the_terminal_names_layers_keys_and_ratios(conversions):
    source = conversions.save(checkpoint(Network('sw')))
    backbone = tiny(**{**SAME_NORMS['sw'], 'whiten_at': 'sw14'})
    config = conversions.config(backbone)
    dst = conversions.folder / 'dst.pth'
    report = convert_checkpoint(source, dst, config)
    console = Console(record=True, width=200)
    print_report(report, console)
    text = console.export_text()
    assert f'{source}: ResNet-50 (1x8d), sw' in text
    assert 'fc.weight, fc.bias' in text
    assert 'layer1.0.bn2, layer1.2.bn2, layer2.0.bn2' in text
    assert 'running_cov from the variances' in text
    assert 'layer3: average of 3' in text and 'all: average of 7' in text
    share = torch.load(dst, weights_only=True)['state_dict']['bn1.mean_weight']
    line = next(s for s in text.splitlines() if s.startswith('  bn1'))
    assert f'{share.softmax(0)[0]:.3f}' in line
