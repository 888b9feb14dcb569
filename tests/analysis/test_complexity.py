"""Multiply-adds of the norms: by hand, and as in SW's supplement."""

import io
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from rich.console import Console
from torch import nn

from whiten_plugins.analysis.complexity import (
    analyze,
    count_flops,
    print_complexity,
)
from whiten_plugins.config.building import build_model
from whiten_plugins.config.loading import load_config
from whiten_plugins.norms import BW, GW, IW, SN, SW
from whiten_plugins.placement import place_norms

MINI = Path(__file__).parents[2] / 'configs' / 'mini'


def flops_of(norm, height, width):
    return count_flops(norm, (norm.num_features, height, width))


@pytest.mark.parametrize(
    ('norm', 'groups', 'rows', 'newton'),
    [
        (SN(32), 32, 1, 0),
        (SW(32), 2, 16, 3 * 4),
        (SW(32, sw_type=5, T=3), 2, 16, 3 * 2),
        (SW(32, num_pergroup=8, whitening='zca'), 4, 8, 5.5),
        (IW(32, num_pergroup=4), 8, 4, 3 * 4),
    ],
    ids=str,
)
def test_norm_of_samples(norm, groups, rows, newton):
    """c multiply-adds an element for statistics and for output each, c³ for
    each product of matrices."""
    elements = groups * rows * 7 * 9
    expected = 2 * rows * elements
    expected += newton * groups * rows**3 + groups * rows**2
    assert flops_of(norm, 7, 9) == expected


def test_rows_of_gw_are_groups_of_channels():
    """g × (C / g) M elements in one group; b is made for each channel."""
    elements = 32 * 7 * 9
    expected = 2 * 8 * elements + 3 * 4 * 8**3 + 4 * 8**2
    assert flops_of(GW(32, num_groups=8), 7, 9) == expected


def test_norm_of_the_batch_is_a_product_with_a_fixed_matrix():
    elements = 32 * 7 * 9
    assert flops_of(BW(32), 7, 9) == 16 * elements + 2 * 16**2


def test_the_model_stays_as_it_is():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), SW(8), nn.BatchNorm2d(8))
    model[2].eval()
    found = analyze(model, (3, 5, 5))
    assert [m.training for m in model] == [True, True, False]
    assert model[1].num_batches_tracked == 0
    assert 'forward' not in vars(model)
    assert [(n.layers, n.parameters) for n in found.norms] == [
        (1, 20),
        (1, 16),
    ]
    assert found.norms[1].flops == 2 * 8 * 25
    norms = sum(norm.flops for norm in found.norms)
    assert found.flops == norms + 3 * 8 * 25
    assert found.parameters == 32 + 20 + 16


def test_attention_counts_its_products():
    """Neither torch's fused transformer layers nor its fused attention hide
    them: four projections of C² and two products of L C for each of L
    positions, and the two layers after them."""
    positions, channels, hidden = 10, 16, 32
    layer = nn.TransformerEncoderLayer(
        channels, 2, hidden, dropout=0, batch_first=True
    )
    expected = positions * (
        4 * channels**2 + 2 * positions * channels + 2 * channels * hidden
    )
    expected += 2 * 5 * positions * channels  # LayerNorms
    found = count_flops(layer, (positions, channels))
    assert found == expected


class _Queries(nn.Module):
    """As a DETR: a module is given a parameter."""

    def __init__(self):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(7, 4))
        self.layer = nn.Linear(4, 5)

    def forward(self, x):
        return self.layer(self.queries)


def test_modules_that_are_given_a_parameter():
    model = _Queries()
    assert count_flops(model, (3, 2, 2)) == 7 * 4 * 5
    assert model.queries.requires_grad


def test_deformable_convolutions_count_as_regular_ones():
    ops = pytest.importorskip('mmcv.ops')
    layer = ops.ModulatedDeformConv2dPack(4, 8, 3, padding=1)
    offsets = 27 * 9 * 4 * 25
    assert count_flops(layer, (4, 5, 5)) == 8 * 9 * 4 * 25 + offsets


def test_an_image_that_the_model_does_not_take():
    with pytest.raises(ValueError, match='no image of 2×2 pixels: Runtime'):
        count_flops(nn.Conv2d(3, 8, 3), (3, 2, 2))


@pytest.mark.parametrize(
    ('sw_type', 'published'), [(2, 0.042), (5, 0.045)], ids=['SW^a', 'SW^b']
)
def test_resnet50_at_224(sw_type, published):
    """SW supplement, table 1: 4.185 and 4.188 against BN's 4.143 G."""
    torchvision = pytest.importorskip('torchvision')
    model = torchvision.models.resnet50()
    plain = count_flops(model, (3, 224, 224))
    place_norms(model, dict(type='SW', sw_type=sw_type), 'sw7')
    added = (count_flops(model, (3, 224, 224)) - plain) / 1e9
    assert added == pytest.approx(published, abs=0.003)


PSPNET = """
_base_ = 'mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-769x769.py'
"""
SW14 = dict(type='WhitenResNetV1c', whiten_cfg=dict(type='SW'))


@pytest.mark.slow
def test_pspnet_at_713(tmp_path):
    """SW supplement, table 2: 275.68 against BN's 274.73 G."""
    pytest.importorskip('mmseg')
    file = tmp_path / 'pspnet.py'
    file.write_text(PSPNET)
    counts = []
    for backbone in ({}, dict(SW14, whiten_at='sw14')):
        cfg = Config.fromfile(file)
        cfg.model.backbone.update(backbone)
        counts.append(count_flops(build_model(cfg), (3, 713, 713)))
    added = (counts[1] - counts[0]) / 1e9
    assert added == pytest.approx(0.95, abs=0.05)


@pytest.mark.filterwarnings('ignore:``build_loss``')
@pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``')
@pytest.mark.parametrize(
    ('config', 'layers'),
    [
        ('pspnet*ade20k.py', 27),
        pytest.param('mask-rcnn_r18*coco.py', 36, marks=pytest.mark.slow),
    ],
)
def test_table_has_a_line_for_each_norm_type(config, layers):
    pytest.importorskip('mmdet')
    pytest.importorskip('mmseg')
    (file,) = MINI.glob(config)
    text = io.StringIO()
    print_complexity(load_config(file), (64, 64), Console(file=text))
    lines = [line.split() for line in text.getvalue().splitlines()]
    assert [line[0] for line in lines] == ['norm', 'SW', 'all', 'total']
    assert int(lines[1][1]) == layers
    numbers = [
        [float(cell.replace(',', '')) for cell in line[-3:]]
        for line in lines[1:]
    ]
    for norms, others, total in zip(*numbers):
        assert norms > 0
        assert norms + others == pytest.approx(total, abs=0.02)
