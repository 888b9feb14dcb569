"""The table has a row a layer, and loses nothing when it is piped."""

import io

import pytest
import torch
from rich.console import Console

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.table import print_changes, print_run

from .synthetic import DETECTOR, layer, network, save, training


@pytest.fixture
def printed(tmp_path):
    def printed(*states, **console):
        stream = io.StringIO()
        run = read_run(save(tmp_path / '[b]sw.pth', *states))
        print_run(run, Console(file=stream, **console))
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


def test_training_says_how_many_layers_changed_their_choice(tmp_path):
    names = ['a.bn', 'b.bn']
    for iteration, chosen in ((10, (0, 0)), (20, (0, 1)), (30, (2, 1))):
        state = {}
        for name, index in zip(names, chosen):
            state |= layer(name, torch.eye(3)[index], torch.eye(3)[0])
        save(tmp_path / f'iter_{iteration}.pth', state, iter=iteration)
    stream = io.StringIO()
    print_run(read_run(tmp_path), Console(file=stream))
    assert (
        '3 snapshots, iteration 10 to 30; 1 of 2 layers changed their '
        'choice since iteration 20.'
    ) in stream.getvalue()


def test_changes_compare_each_run_with_the_first(tmp_path):
    third, ln = torch.zeros(3), torch.tensor([0.0, 50.0, 0.0])
    states = layer('a.bn', third, third), layer('a.bn', third, ln)
    paths = [
        save(tmp_path / name, state)
        for name, state in zip(
            ('x.pth', 'y.pth', 'z.pth'), (*states, states[0])
        )
    ]
    stream = io.StringIO()
    print_changes([read_run(path) for path in paths], Console(file=stream))
    title, header, largest, *_ = stream.getvalue().splitlines()
    assert title == f'A {paths[0]} → B {paths[1]}: largest changes'
    assert header.split() == [
        *('layer', 'ratios', 'statistic'),
        *('A', 'B', 'difference', 'moved'),
    ]
    assert largest.split() == [
        *('a.bn', 'variance', 'ln'),
        *('0.333', '1.000', '+0.667', '0.667'),
    ]
    assert f'→ C {paths[2]}' in stream.getvalue()


def test_one_run_has_nothing_to_compare(tmp_path):
    stream = io.StringIO()
    run = read_run(training(tmp_path))
    print_changes([run], Console(file=stream))
    assert stream.getvalue() == ''
