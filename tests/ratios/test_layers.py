"""Ratios are the softmax of the logits, layer by layer."""

import pytest
import torch
from torch import nn

from tests.ratios.synthetic import DETECTOR, convolution, layer, network, save
from whiten_plugins.checkpoints.reading import CheckpointError
from whiten_plugins.norms import SN, SW
from whiten_plugins.ratios import read_run


@pytest.fixture
def read(tmp_path):
    def read(*states, config=None):
        path = save(tmp_path / 'checkpoint.pth', *states, config=config)
        return read_run(path)

    return read


def test_ratios_are_the_softmax_of_the_logits(read):
    mean, var = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([5.0, 0.0, 0.1])
    (found,) = read(layer('bn1', mean, var)).layers
    assert (found.name, found.type, found.tied) == ('bn1', 'SN', False)
    expected = mean.double().exp() / mean.double().exp().sum()
    assert list(found.mean) == ['in', 'ln', 'bn']
    assert list(found.mean.values()) == pytest.approx(expected.tolist())
    expected = var.double().exp() / var.double().exp().sum()
    assert list(found.var.values()) == pytest.approx(expected.tolist())


def test_layers_come_in_network_order(read):
    shuffled = [*DETECTOR[:1], DETECTOR[4], *DETECTOR[1:4], *DETECTOR[5:]]
    found = read(network(shuffled)).layers
    assert tuple(item.name for item in found) == DETECTOR


@pytest.mark.parametrize(
    'norm',
    [
        SN(8),
        SN(8, tie_weight=True),
        SN(8, ratio_groups=4),
        SW(8, num_pergroup=4),
        SW(8, num_pergroup=4, sw_type=3, tie_weight=True),
        SW(8, num_pergroup=4, sw_type=5),
    ],
    ids=repr,
)
def test_report_equals_the_ratios_of_the_module(norm, tmp_path):
    for name, parameter in norm.named_parameters():
        if name.endswith('_weight'):
            nn.init.normal_(parameter)
    path = tmp_path / 'network.pth'
    torch.save(nn.Sequential(nn.Conv2d(3, 8, 1), norm).state_dict(), path)

    (found,) = read_run(path).layers

    assert found.name == '1'
    assert found.type == type(norm).__name__
    assert found.stats == norm.stats
    assert found.tied == norm.tie_weight
    expected = norm.ratios()
    assert found.mean == pytest.approx(expected['mean'], abs=1e-6)
    assert found.var == pytest.approx(expected['var'], abs=1e-6)


def test_tied_layers_use_the_mean_logits_for_both(read):
    (found,) = read(layer('bn1', [0.0, 1.0, 2.0])).layers
    assert found.tied
    assert found.var == found.mean


def test_ratio_groups_keep_their_rows_and_are_averaged(read):
    mean = torch.tensor([[0.0, 0.0, 9.0], [9.0, 0.0, 0.0]])
    var = torch.zeros(2, 3)
    (found,) = read(layer('bn1', mean, var)).layers
    rows = mean.double().softmax(1)
    for row, expected in zip(found.mean_groups, rows.tolist()):
        assert row == pytest.approx(expected)
    assert list(found.mean.values()) == pytest.approx(rows.mean(0).tolist())
    assert found.var == pytest.approx({'in': 1 / 3, 'ln': 1 / 3, 'bn': 1 / 3})


@pytest.mark.parametrize(
    ('num_stats', 'stats'),
    [
        (2, ('bw', 'iw')),
        (3, ('bw', 'iw', 'ln')),
        (5, ('bw', 'iw', 'bn', 'in', 'ln')),
    ],
)
def test_number_of_ratios_names_those_of_sw(num_stats, stats, read):
    state = network(['bn1'], num_stats, 'SW')
    (found,) = read(state).layers
    assert (found.type, found.stats) == ('SW', stats)


def test_config_names_the_statistics_of_sn(read):
    config = "model = dict(norm_cfg=dict(type='SN', stats=('bn', 'ln')))"
    report = read(network(['bn1'], 2), config=config)
    assert report.layers[0].stats == ('bn', 'ln')
    assert report.notes == []


def test_unnamed_statistics_are_numbered_with_a_note(read):
    report = read(network(['a.bn', 'b.bn'], 2, 'SN without bn'))
    assert report.layers[0].stats == ('stat1', 'stat2')
    (note,) = report.notes
    assert note.startswith('2 SN layer(s) mix 2 statistics')


def test_ambiguous_config_does_not_name_the_statistics(read):
    config = (
        "model = dict(a=dict(type='SN'),"
        " b=dict(type='SN', stats=('bn', 'in', 'ln')))"
    )
    report = read(network(['bn1']), config=config)
    assert report.layers[0].stats == ('stat1', 'stat2', 'stat3')
    assert len(report.notes) == 1


def test_hard_layers_are_one_hot(read):
    config = "model = dict(norm_cfg=dict(type='SW', hard=True))"
    state = layer('bn1', [0.1, 0.2], [3.0, 1.0], 'SW')
    (found,) = read(state, config=config).layers
    assert found.hard
    assert found.mean == {'bw': 0, 'iw': 1}
    assert found.var == {'bw': 1, 'iw': 0}


def test_kernel_is_that_of_the_convolution_before(read):
    logits = [0.0, 1.0, 2.0]
    state = {}
    for conv, size, norm in (
        ('conv1', 7, 'bn1'),
        ('layer1.0.conv1', 1, 'layer1.0.bn1'),
        ('layer1.0.conv2', 3, 'layer1.0.bn2'),
        ('layer1.0.downsample.0', 1, 'layer1.0.downsample.1'),
        ('neck.convs.0.conv', 3, 'neck.convs.0.bn'),
    ):
        state |= convolution(conv, size) | layer(norm, logits)
    state |= layer('head.bn', logits)
    found = read(state).layers
    assert [item.kernel and item.kernel[0] for item in found] == [
        *(7, 1, 3, 1, 3),
        None,
    ]
    assert [item.shortcut for item in found] == [0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        ({'conv1.weight': torch.ones(1)}, 'no SN or SW layer'),
        (network(['\033[2Jbn1']), r"'\\x1b\[2Jbn1': not a module name"),
        (network(['bn1'], 4, 'SW'), r'bn1: 4 ratios; SW has 2, 3, 5'),
        (network(['bn1'], 5, 'SN'), r'bn1: 5 ratios; SN has 1, 2, 3'),
        (layer('bn1', [0.0, 1.0], [0.0]), r'mean_weight \(2,\) and var'),
        (layer('bn1', torch.tensor(1.0)), r'must both be \(K,\)'),
        (layer('bn1', torch.ones(0, 3)), r'must both be \(K,\)'),
        (
            layer('bn1', [0.0, 1.0, float('nan')]),
            r'bn1.mean_weight: .* is not finite',
        ),
    ],
)
def test_bad_logits_name_the_layer(state, message, read):
    with pytest.raises(CheckpointError, match=message):
        read(state)
