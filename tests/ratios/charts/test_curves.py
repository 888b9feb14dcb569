"""Curves hold averages over time, points the layers over their fields."""

from whiten_plugins.ratios.charts import make_figures
from whiten_plugins.ratios.charts.curves import (
    dynamics_figures,
    receptive_field_figure,
)
from whiten_plugins.ratios.summary import average, by_part, by_receptive_field


def test_dynamics_by_part_are_averages_at_each_snapshot(trained):
    parts, _ = dynamics_figures(trained, '')
    assert parts.name == 'dynamics_parts'
    mean, var, divergence = parts.chart.rows
    titles = [panel.title for panel in mean]
    assert titles[0] == 'Backbone' and titles[-1] == 'All'
    for row, key in ((mean, 'mean'), (var, 'var')):
        for curve in row[0].curves:
            assert curve.x == list(range(10, 80, 10))
            assert curve.y == [
                average(by_part(snap.layers)['backbone'])[key][curve.stat]
                for snap in trained.snapshots
            ]
    (curve,) = divergence[-1].curves
    assert curve.y == [
        average(snap.layers)['divergence'] for snap in trained.snapshots
    ]
    assert len({panel.top for panel in divergence}) == 1


def test_dynamics_by_receptive_field(trained):
    _, fields = dynamics_figures(trained, 'B')
    assert fields.name == 'dynamics_fields_B'
    mean = fields.chart.rows[0]
    assert [panel.title for panel in mean][-2:] == ['Whole RoI', 'All']
    (curve, *_) = mean[0].curves
    assert (
        curve.y[-1]
        == (average(by_receptive_field(trained.layers)['< 49'])['mean']['in'])
    )


def test_a_single_snapshot_has_no_dynamics(one):
    assert dynamics_figures(one, '') == []


def test_points_stand_over_the_receptive_fields(one, other):
    figure = receptive_field_figure([one, other])
    assert not figure.chart.joined
    ((mean, var),) = figure.chart.rows  # the other one was not traced
    known = one.layers[:-2]  # RoI heads see no number of pixels
    curve = var.curves[2]
    assert curve.stat == 'bn'
    assert curve.x == [layer.receptive_field for layer in known]
    assert curve.y == [layer.var['bn'] for layer in known]
    assert curve.hover == [layer.name for layer in known]
    assert receptive_field_figure([other]) is None


def test_names_of_the_figures_are_distinct(trained, one):
    names = [figure.name for figure in make_figures([trained, one])]
    assert names == [
        'averages',
        'ratios',
        'depth',
        'receptive_field',
        'divergence',
        'seeds_layers',
        'hard_A',
        'dynamics_parts_A',
        'dynamics_fields_A',
        'hard_B',
    ]
