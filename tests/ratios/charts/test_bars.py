"""Bars hold the ratios, in the order of the layers."""

import math

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.charts.bars import (
    averages_figure,
    depth_figure,
    divergence_figure,
    hard_figure,
    layers_figure,
)
from whiten_plugins.ratios.charts.layout import Heading
from whiten_plugins.ratios.summary import (
    average,
    by_part,
    changed_choices,
    choice,
    divergence,
)

from ..synthetic import DETECTOR, network, save


def test_a_bar_a_layer_holds_its_ratios(one):
    mean, var = layers_figure([one]).chart.rows
    assert [bar.shares for bar in mean.bars] == [i.mean for i in one.layers]
    assert [bar.shares for bar in var.bars] == [i.var for i in one.layers]
    assert (mean.label, var.label) == ('mean ratios', 'variance ratios')
    for bar, layer in zip(mean.bars, one.layers):
        assert bar.hover[0] == layer.name
        assert f'bn {layer.mean["bn"]:.3f}' in bar.hover[2]
        assert f'bn {layer.var["bn"]:.3f}' in bar.hover[3]


def test_3x3_convolutions_and_shortcuts_are_marked(one):
    (row, _) = layers_figure([one]).chart.rows
    marked = {bar.hover[0] for bar in row.bars if bar.after_3x3}
    assert marked == {'backbone.layer1.0.bn2'}
    shortcuts = {bar.hover[0] for bar in row.bars if bar.shortcut}
    assert shortcuts == {'backbone.layer1.0.downsample.1'}


def test_parts_and_stages_are_named(one):
    layout = layers_figure([one]).chart.layout
    assert all(isinstance(part, Heading) for part in layout.parts)
    parts = ['Backbone', 'FPN', 'RPN head', 'Box head', 'Mask head']
    assert [part.title for part in layout.parts] == parts
    stages = [stage.title for stage in layout.stages]
    assert stages == ['stem', 'layer1', 'layer2']
    assert layout.labels[:2] == ['bn1', '0.bn1']


def test_layers_of_several_runs_are_aligned(one, other):
    chart = layers_figure([one, other]).chart
    titles = [row.title for row in chart.rows]
    assert titles[0].startswith('A  ') and titles[2].startswith('B  ')
    first, second = chart.rows[0].bars, chart.rows[2].bars
    assert len(first) == len(second) == len(DETECTOR) + 1
    assert second[0] is None and first[-1] is None
    for a, b in zip(first[1:-1], second[1:-1]):
        assert a.hover[0] == b.hover[0]
    assert chart.stats == ['in', 'ln', 'bn', 'bw', 'iw']
    assert chart.rows[3].label == '(co)variance ratios'


def test_averages_by_part_and_of_all(one):
    chart = averages_figure([one]).chart
    assert chart.numbered
    assert chart.layout.labels == [
        *('Backbone', 'FPN', 'RPN head', 'Box head', 'Mask head', 'All')
    ]
    backbone, *_, everything = chart.rows[1].bars
    expected = average(by_part(one.layers)['backbone'])['var']
    assert backbone.shares == expected
    assert everything.shares == average(one.layers)['var']
    assert everything.hover[1] == 'average of 11 layers'


def test_averages_of_several_runs_stand_side_by_side(one, other):
    layout = averages_figure([one, other]).chart.layout
    assert layout.labels == ['A', 'B'] * 6
    headings = [heading.title for heading in layout.stages]
    assert headings[0] == 'Backbone' and headings[-1] == 'All'


def test_depth_shows_stages_and_receptive_fields(one, other):
    chart = depth_figure([one]).chart
    stages = ['stem', 'layer1', 'layer2']
    ranges = ['< 49', '49–98', '99–198', '199–298', '≥ 299', 'whole RoI']
    assert chart.layout.labels == stages + ranges
    assert chart.rows[0].bars[0].shares == one.layers[0].mean
    # Without a forward pass only the stages are known.
    assert depth_figure([other]).chart.layout.labels == stages[1:]


def test_depth_needs_stages_or_fields(one, tmp_path):
    path = save(tmp_path / 'x.pth', network(['a.bn', 'b.bn']))
    assert depth_figure([read_run(path)]) is None


def test_divergence_of_every_layer(one):
    (row,) = divergence_figure([one]).chart.rows
    found = [bar.shares['divergence'] for bar in row.bars]
    assert found == [divergence(layer) for layer in one.layers]
    assert row.top > max(found)


def test_infinite_divergence_is_not_drawn(tmp_path):
    config = "model = dict(norm_cfg=dict(type='SN', hard=True))"
    path = save(tmp_path / 'hard.pth', network(), config=config)
    (row,) = divergence_figure([read_run(path)]).chart.rows
    found = [bar.shares['divergence'] for bar in row.bars]
    assert any(map(math.isnan, found))
    assert math.isfinite(row.top)


def test_hard_choices_of_some_snapshots(trained):
    rows = hard_figure(trained, '').chart.rows
    assert len(rows) == 2 * 5
    assert rows[-2].title.startswith('iteration 70 · ')
    last = trained.layers
    assert [bar.shares for bar in rows[-1].bars] == [
        {s: float(s == choice(layer)[1]) for s in layer.stats}
        for layer in last
    ]
    (changed,) = changed_choices([trained.snapshots[5].layers, last])
    assert rows[-2].title.endswith(f'{len(changed)} layers changed')


def test_hard_choices_of_a_checkpoint(one):
    rows = hard_figure(one, '').chart.rows
    assert [row.title for row in rows] == ['', '']
    chosen, _ = choice(one.layers[0])
    assert rows[0].bars[0].shares[chosen] == 1
    assert sum(rows[0].bars[0].shares.values()) == 1
