"""The table has a row a layer, and loses nothing when it is piped."""

import io

import pytest
import torch
from rich.console import Console

from whiten_plugins.ratios import read_ratios
from whiten_plugins.ratios.table import print_table

from .synthetic import DETECTOR, layer, network, save


@pytest.fixture
def printed(tmp_path):
    def printed(*states, **console):
        stream = io.StringIO()
        report = read_ratios(save(tmp_path / '[b]sw.pth', *states))
        print_table(report, Console(file=stream, **console))
        return stream.getvalue().splitlines()

    return printed


def test_rows_show_the_ratios_below_the_averages_of_their_part(printed):
    mean, var = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0])
    lines = printed(
        layer('backbone.bn1', mean, var, 'SW'),
        layer('neck.fpn_convs.0.bn', var, mean, 'SW'),
    )
    assert '[b]sw.pth' in lines[0]
    assert [line.split() for line in lines[1:7]] == [
        ['mean', 'mean', 'var', 'var'],
        ['layer', 'type', 'bw', 'iw', 'bw', 'iw'],
        ['backbone:', *'average of 1 0.119 0.881 0.500 0.500'.split()],
        ['backbone.bn1', 'SW', '0.119', '0.881', '0.500', '0.500'],
        ['FPN:', *'average of 1 0.500 0.500 0.119 0.881'.split()],
        ['neck.fpn_convs.0.bn', 'SW', '0.500', '0.500', '0.119', '0.881'],
    ]


def test_statistic_that_a_layer_does_not_mix_is_blank(printed):
    lines = printed(
        layer('a.bn', [0.0, 0.0], kind='SW'), layer('b.bn', [0.0, 0.0, 0.0])
    )
    row = next(line for line in lines if 'a.bn' in line)
    assert row.split() == ['a.bn', 'SW', '0.500', '0.500', '0.500', '0.500']


def test_piped_table_is_not_cut(printed):
    text = '\n'.join(printed(network(num_stats=5, kind='SW')))
    assert '…' not in text
    assert all(name in text for name in DETECTOR)


def test_narrow_terminal_keeps_the_numbers(printed):
    path, *table = printed(
        network(), width=60, force_terminal=True, color_system=None
    )
    assert path.endswith('[b]sw.pth')
    assert all(len(line) <= 60 for line in table)
    assert '…' not in '\n'.join(table)


def test_notes_are_printed(printed):
    lines = printed(network(['a.bn'], 2, 'SN without bn'))
    assert any(line.startswith('Note: 1 SN layer(s) mix 2') for line in lines)
