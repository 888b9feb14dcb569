"""Averages, divergence, choices and changes of many layers."""

import math

import pytest
import torch

from whiten_plugins.ratios.layers import LayerRatios
from whiten_plugins.ratios.summary import (
    average,
    averages_by_part,
    by_part,
    by_receptive_field,
    by_stage,
    changed_choices,
    changes,
    choice,
    divergence,
    split_choices,
)


def make(name='bn1', mean=(0.2, 0.3, 0.5), var=(0.6, 0.3, 0.1), **kwargs):
    stats = kwargs.pop('stats', ('in', 'ln', 'bn'))
    return LayerRatios(name, 'SN', stats, [list(mean)], [list(var)], **kwargs)


def test_averages_by_part_and_over_all():
    layers = [
        make('backbone.bn1', (0.5, 0.5), (0, 1), stats=('bw', 'iw')),
        make('backbone.layer1.0.bn1', (1, 0), (0, 1), stats=('bw', 'iw')),
        make('neck.convs.0.bn', (1, 0, 0), (0, 0, 1)),
    ]
    averages = averages_by_part(layers)
    assert list(averages) == ['backbone', 'neck', 'all']
    assert averages['backbone']['layers'] == 2
    assert averages['backbone']['mean'] == {'bw': 0.75, 'iw': 0.25}
    # A statistic that a layer does not mix has no share of it.
    assert averages['all']['mean'] == pytest.approx(
        {'bw': 0.5, 'iw': 1 / 6, 'in': 1 / 3, 'ln': 0, 'bn': 0}
    )
    assert sum(averages['all']['var'].values()) == pytest.approx(1)


def test_groups_keep_the_order_of_the_layers():
    names = ['bn1', 'layer1.0.bn1', 'layer1.0.bn2', 'neck.convs.0.bn']
    layers = [make(name) for name in names]
    assert [len(group) for group in by_part(layers).values()] == [3, 1]
    stages = by_stage(layers)
    assert list(stages) == ['stem', 'layer1']
    assert stages['layer1'] == layers[1:3]


def test_ranges_of_receptive_fields_are_those_of_sn_fig_7():
    fields = [7, 48, 49, 98, 99, 198, 199, 298, 299, 427, 'image', 'RoI', None]
    layers = [make(str(f), receptive_field=f) for f in reversed(fields)]
    groups = by_receptive_field(layers)
    found = {
        name: sorted((item.name for item in group), key=len)
        for name, group in groups.items()
    }
    assert list(found) == [
        '< 49',
        '49–98',
        '99–198',
        '199–298',
        '≥ 299',
        'image',
        'RoI',
    ]
    assert found['< 49'] == ['7', '48']
    assert sum(map(len, found.values())) == len(fields) - 1


def test_divergence_is_the_symmetric_kl_divergence():
    p, q = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]).double()
    kl = torch.nn.functional.kl_div
    expected = kl(q.log(), p, reduction='sum') + kl(
        p.log(), q, reduction='sum'
    )
    assert divergence(make()) == pytest.approx(expected.item())
    assert divergence(make(var=(0.2, 0.3, 0.5))) == 0
    assert average([make(), make(var=(0.2, 0.3, 0.5))])[
        'divergence'
    ] == pytest.approx(expected.item() / 2)


def test_divergence_of_hard_ratios():
    same = make(mean=(0, 1, 0), var=(0, 1, 0))
    assert divergence(same) == 0
    assert divergence(make(mean=(0, 1, 0), var=(1, 0, 0))) == math.inf


def test_choices_and_where_mean_and_variance_split():
    layers = [make('a'), make('b', var=(0.2, 0.3, 0.5))]
    assert [choice(item) for item in layers] == [('bn', 'in'), ('bn', 'bn')]
    assert split_choices(layers) == ['a']


def test_a_layer_changes_with_either_of_its_choices():
    first = [make('a'), make('b'), make('c')]
    second = [
        make('a', mean=(0.21, 0.3, 0.49)),
        make('b', mean=(0.9, 0.1, 0.0)),
        make('c', var=(0.0, 0.9, 0.1)),
    ]
    assert changed_choices([first, second, second]) == [['b', 'c'], []]
    assert changed_choices([first]) == []


def test_changes_are_sorted_by_the_share_that_moved():
    before = [make('backbone.a'), make('backbone.b'), make('backbone.gone')]
    after = [
        make('a', mean=(0.2, 0.5, 0.3)),
        make('b', var=(0.1, 0.3, 0.6)),
        make('new'),
    ]
    found = changes(before, after)
    assert len(found) == 4
    largest, second = found[:2]
    assert (largest.layer, largest.moment) == ('b', 'var')
    assert largest.distance == pytest.approx(0.5)
    assert largest.stat in ('in', 'bn')
    assert (second.layer, second.stat) == ('a', 'ln')
    assert second.difference('ln') == pytest.approx(0.2)
    assert found[2].distance == found[3].distance == 0


def test_a_statistic_that_one_of_them_lacks_counts_as_zero():
    before = [make('a', (0.5, 0.5), (0.5, 0.5), stats=('in', 'ln'))]
    after = [make('a', (0.25, 0.25, 0.5), (0.5, 0.5, 0.0))]
    largest = changes(before, after)[0]
    assert largest.distance == pytest.approx(0.5)
    assert (largest.stat, largest.difference('bn')) == ('bn', 0.5)
