"""The bars of the figure are the ratios, stacked in network order."""

from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from whiten_plugins.ratios import read_ratios
from whiten_plugins.ratios.figure import MIN_PITCH, draw_ratios, short_names
from whiten_plugins.ratios.palette import COLORS

from .synthetic import DETECTOR, network, save


@pytest.fixture
def reports(tmp_path):
    states = {
        'sn.pth': network(seed=1),
        'sw.pth': network(num_stats=5, kind='SW', seed=2),
    }
    return [read_ratios(save(tmp_path / k, v)) for k, v in states.items()]


def _texts(axes):
    return [text.get_text() for text in axes.texts]


def test_two_panels_a_checkpoint(reports):
    figure = draw_ratios(reports)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        'mean ratios',
        'variance ratios',
        'mean ratios',
        'covariance ratios',
    ]


def test_bars_are_the_ratios_stacked(reports):
    axes = draw_ratios(reports).axes
    for ratios, panels in zip(reports, (axes[:2], axes[2:])):
        for panel, moment in zip(panels, ('mean', 'var')):
            shares = [getattr(layer, moment) for layer in ratios.layers]
            bottoms = [0.0] * len(shares)
            for bars in panel.containers:
                stat = bars.get_label()
                heights = [bar.get_height() for bar in bars]
                assert heights == pytest.approx([s[stat] for s in shares])
                assert [bar.get_y() for bar in bars] == pytest.approx(bottoms)
                bottoms = [b + h for b, h in zip(bottoms, heights)]
                color = to_hex(bars[0].get_facecolor()).upper()
                assert color == COLORS[stat]
            assert bottoms == pytest.approx([1] * len(shares))


def test_bars_stand_in_network_order_with_gaps_between_parts(reports):
    panel = draw_ratios(reports).axes[0]
    lefts = [bar.get_x() for bar in panel.containers[0]]
    steps = [right - left for left, right in zip(lefts, lefts[1:])]
    assert min(steps) > 0
    inside_block = steps[1]
    next_stage = steps[0]
    next_part = steps[DETECTOR.index('neck.lateral_convs.0.bn') - 1]
    assert inside_block < next_stage < next_part


def test_parts_and_stages_are_named(reports):
    figure = draw_ratios(reports[:1])
    names = ['Backbone', 'FPN', 'RPN head', 'Box head', 'Mask head']
    stages = ['stem', 'layer1', 'layer2']
    found = [text for text in _texts(figure.axes[0]) if text]
    assert found == names + stages
    labels = [t.get_text() for t in figure.axes[1].get_xticklabels()]
    assert labels[:5] == ['bn1', '0.bn1', '0.bn2', '0.bn3', '0.downsample']


def test_labels_are_thinned_out_when_there_are_many(tmp_path):
    names = [f'backbone.layer3.{i}.bn1' for i in range(160)]
    path = save(tmp_path / 'deep.pth', network([*names, 'neck.convs.0.bn']))
    figure = draw_ratios([read_ratios(path)])
    axes = figure.axes[1]
    ticks = axes.get_xticks()
    inches = axes.get_position().width * figure.get_figwidth()
    pitch = inches / (axes.get_xlim()[1] - axes.get_xlim()[0])
    gaps = [b - a for a, b in zip(ticks, ticks[1:])]
    assert 60 < len(ticks) < 110
    assert min(gaps) * pitch >= MIN_PITCH - 1e-9
    assert axes.get_xticklabels()[-1].get_text() == 'convs.0'


@pytest.mark.parametrize('num_layers', [1, 11, 70])
def test_headings_do_not_overlap(num_layers, tmp_path):
    names = [f'layer1.{i}.bn1' for i in range(num_layers - 1)]
    heads = [
        'rpn_head.rpn_conv.bn',
        'bbox_head.convs.0.bn',
        'decode_head.bottleneck.bn',
        'auxiliary_head.convs.0.bn',
    ]
    path = save(tmp_path / 'heads.pth', network(['bn1', *names, *heads]))
    figure = draw_ratios([read_ratios(path)])
    axes = figure.axes[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_long_title_makes_room_for_the_legend(tmp_path):
    name = f'{"long_" * 40}.pth'
    state = network(['bn1'], 5, 'SW')
    figure = draw_ratios([read_ratios(save(tmp_path / name, state))])
    renderer = FigureCanvasAgg(figure).get_renderer()
    (title,) = figure.texts
    assert title.get_text().endswith('long_.pth')
    box = title.get_window_extent(renderer)
    assert not box.overlaps(figure.legends[0].get_window_extent(renderer))


def test_names_are_not_formulas(tmp_path):
    path = save(tmp_path / '$x^$.pth', network(['backbone.$y^$.bn']))
    figure = draw_ratios([read_ratios(path)])
    FigureCanvasAgg(figure).draw()
    assert figure.axes[1].get_xticklabels()[0].get_text() == '$y^$'


def test_several_checkpoints_have_distinct_names():
    paths = [Path('a/sw/epoch_1.pth'), Path('a/sn/epoch_1.pth')]
    assert short_names(paths) == ['sw/epoch_1.pth', 'sn/epoch_1.pth']
    paths = [Path('a/sw/epoch_1.pth'), Path('b/sw/epoch_1.pth')]
    assert short_names(paths) == ['a/sw/epoch_1.pth', 'b/sw/epoch_1.pth']
