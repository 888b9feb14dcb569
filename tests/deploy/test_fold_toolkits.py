"""Detectors and segmentors, which torch.fx cannot trace, are folded whole."""

from pathlib import Path

import pytest
import torch
from torch.utils._pytree import tree_flatten

from tests.deploy.networks import as_trained, relative_difference
from whiten_plugins.config.building import build_model
from whiten_plugins.config.loading import load_config
from whiten_plugins.deploy import fold_norms
from whiten_plugins.norms import BW

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

pytestmark = [
    pytest.mark.filterwarnings('ignore:``build_loss``'),
    pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore``'),
]
MINI = Path(__file__).parents[2] / 'configs' / 'mini'
# A convolution of these heads is shared by the levels, a norm is not.
SEPARATE_NORMS = """
_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
custom_imports = dict(imports=['whiten_plugins'], allow_failed_imports=False)
norm_cfg = dict(type='BN')
model = dict(
    backbone=dict(base_channels=8, norm_cfg=norm_cfg, init_cfg=None),
    neck=dict(
        in_channels=[8, 16, 32, 64], out_channels=16, norm_cfg=norm_cfg
    ),
    bbox_head=dict(
        type='RetinaSepBNHead',
        num_ins=5,
        num_classes=2,
        stacked_convs=2,
        in_channels=16,
        feat_channels=16,
        norm_cfg=norm_cfg,
    ),
)
"""


def model_of(file, norm):
    torch.manual_seed(0)
    return as_trained(build_model(load_config(file, {'norm_cfg.type': norm})))


def assert_folded(model, folded_norms, kept, outputs):
    """Norms but those in ``kept`` are gone, what ``outputs`` takes from a
    model stays."""
    folded = fold_norms(model)
    assert len(folded.fold_report.folded) == folded_norms
    assert folded.fold_report.kept == kept
    with torch.no_grad():
        found, expected = (
            tree_flatten(outputs(m))[0] for m in (folded, model)
        )
    assert relative_difference(found, expected) < 1e-4


def test_segmentor():
    (file,) = MINI.glob('pspnet*ade20k.py')
    idle = {'auxiliary_head.convs.0.bn': 'is not called in evaluation'}
    x = torch.randn(2, 3, 64, 96)
    assert_folded(model_of(file, 'BW'), 26, idle, lambda model: model(x))


@pytest.mark.slow
def test_detector_with_two_stages():
    (file,) = MINI.glob('mask-rcnn_r18_fpn_sw-all*.py')
    x, rois = torch.randn(2, 3, 64, 96), torch.randn(2, 64, 7, 7)

    def outputs(model):
        heads = model.roi_head
        parts = heads.bbox_head(rois), heads.mask_head(rois)
        return model.extract_feat(x), *parts

    assert_folded(model_of(file, 'ItN'), 36, {}, outputs)


def test_detector_with_norms_for_each_level(tmp_path):
    file = tmp_path / 'retinanet.py'
    file.write_text(SEPARATE_NORMS)
    shared = 'shares the output of the layer before it'
    kept = {
        f'bbox_head.{branch}_convs.{level}.{layer}.bn': shared
        for branch in ('cls', 'reg')
        for level in range(5)
        for layer in range(2)
    }
    x = torch.randn(2, 3, 64, 96)
    model = model_of(file, 'BW')
    assert_folded(model, 20 + 8, kept, lambda model: model(x))


def test_deformable_convolution():
    ops = pytest.importorskip('mmcv.ops')
    conv = ops.ModulatedDeformConv2dPack(3, 8, 3, padding=1)
    torch.nn.init.normal_(conv.conv_offset.weight, std=0.3)
    model = as_trained(torch.nn.Sequential(conv, BW(8)))
    x = torch.randn(2, 3, 9, 9)
    assert_folded(model, 1, {}, lambda model: model(x))
