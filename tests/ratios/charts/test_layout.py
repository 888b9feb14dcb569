"""Bars stand in order, with gaps and room for every heading."""

from itertools import pairwise

import pytest

from whiten_plugins.ratios.charts.layout import (
    HEADING_EM,
    MIN_PITCH,
    lay_out_bars,
)


def steps(layout):
    return [right - left for left, right in pairwise(layout.centers)]


def test_gaps_set_stages_and_parts_apart():
    places = [
        ('backbone', 'layer1', 'a'),
        ('backbone', 'layer1', 'b'),
        ('backbone', 'layer2', 'c'),
        ('backbone', 'layer2', 'd'),
        ('neck', '', 'e'),
    ]
    layout = lay_out_bars([place for place in places for _ in range(9)])
    inside, stage, part = (
        steps(layout)[0],
        steps(layout)[17],
        steps(layout)[35],
    )
    assert inside == pytest.approx(1)
    assert inside < stage < part
    assert [h.title for h in layout.parts] == ['backbone', 'neck']
    assert [h.title for h in layout.stages] == ['layer1', 'layer2']
    assert layout.width == pytest.approx(layout.parts[-1].end)


@pytest.mark.parametrize('count', [1, 11, 70, 300])
def test_every_heading_has_room(count):
    places = [('Backbone', 'layer1', f'{i}.bn1') for i in range(count)]
    places += [
        (part, '', 'conv')
        for part in ('RPN head', 'Box head', 'Decode head', 'Auxiliary head')
    ]
    layout = lay_out_bars(places)
    assert layout.pitch >= MIN_PITCH
    for heading in layout.parts:
        room = (heading.end - heading.start) * layout.pitch
        assert room >= HEADING_EM * len(heading.title) - 1e-9
    for left, right in pairwise(layout.parts):
        assert left.end < right.start


def test_long_labels_stand_upright():
    assert lay_out_bars([('', '', 'lateral_convs.0')] * 9).upright
    assert not lay_out_bars([('', '', 'all')] * 9, max_pitch=0.9).upright
