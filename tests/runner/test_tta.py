"""Test-time augmentation with instance masks."""

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import InstanceData

pytest.importorskip('mmdet')

from mmdet.registry import MODELS
from mmdet.structures import DetDataSample

from whiten_plugins.runner import enable_tta
from whiten_plugins.runner.tta import InstanceTTAModel

SIZE = (8, 12)


class Network(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


def view(flip, boxes, scores, direction='horizontal', masks=True):
    """Predictions on one view; masks are the boxes, filled."""
    found = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.zeros(len(scores), dtype=torch.long),
    )
    if masks:
        found.masks = torch.zeros(len(scores), *SIZE, dtype=torch.bool)
        for mask, (left, top, right, bottom) in zip(found.masks, boxes):
            mask[top:bottom, left:right] = True
    meta = dict(ori_shape=SIZE, flip=flip, flip_direction=direction)
    sample = DetDataSample(metainfo=meta)
    sample.pred_instances = found
    return sample


@pytest.fixture
def model():
    nms = dict(type='nms', iou_threshold=0.5)
    cfg = Config(dict(nms=nms, max_per_img=2))
    return InstanceTTAModel(module=Network(), tta_cfg=cfg)


@pytest.mark.parametrize(
    ('direction', 'flipped'),
    [
        ('horizontal', (8, 1, 11, 4)),
        ('vertical', (1, 4, 4, 7)),
        ('diagonal', (8, 4, 11, 7)),
    ],
)
def test_a_box_keeps_the_mask_of_its_view(model, direction, flipped):
    """The flipped view is surer: its mask is turned back."""
    upright = (1, 1, 4, 4)
    views = [
        view(False, [upright, (6, 5, 9, 8)], [0.6, 0.5]),
        view(True, [flipped], [0.9], direction),
    ]
    merged = model._merge_single_sample(views).pred_instances
    assert merged.scores.tolist() == pytest.approx([0.9, 0.5])
    assert merged.bboxes.tolist() == [[1, 1, 4, 4], [6, 5, 9, 8]]
    for box, mask in zip(merged.bboxes.int().tolist(), merged.masks):
        expected = torch.zeros(SIZE, dtype=torch.bool)
        expected[box[1] : box[3], box[0] : box[2]] = True
        assert torch.equal(mask, expected)


def test_as_many_as_asked_for(model):
    boxes = [(0, 0, 2, 2), (4, 4, 6, 6), (8, 4, 11, 7)]
    merged = model._merge_single_sample([view(False, boxes, [0.1, 0.9, 0.5])])
    assert merged.pred_instances.scores.tolist() == pytest.approx([0.9, 0.5])
    assert len(merged.pred_instances.masks) == 2


def test_nothing_found_and_no_masks(model):
    empty = model._merge_single_sample([view(False, [], [])])
    assert len(empty.pred_instances) == 0
    boxes = [view(False, [(1, 1, 4, 4)], [0.5], masks=False)]
    assert 'masks' not in model._merge_single_sample(boxes).pred_instances


def test_the_toolkit_s_model_is_replaced():
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=dict(type='MaskRCNN'),
            test_dataloader=dict(dataset=dict(pipeline=[dict(type='a')])),
        )
    )
    enable_tta(cfg)
    assert MODELS.get(cfg.model.type) is InstanceTTAModel
    assert cfg.model.module.type == 'MaskRCNN'
