"""Test-time augmentation of detectors, instance masks included.

Importing this module lets ``DetTTAModel`` in configs mean the class here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.ops import batched_nms
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

_FLIPPED = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}


@MODELS.register_module(name=DetTTAModel.__name__, force=True)
class InstanceTTAModel(DetTTAModel):
    """mmdet's :class:`DetTTAModel`, which refuses instance masks, with masks.

    The boxes of all views are merged by non-maximum suppression, as there;
    each box that is kept keeps its own mask.

    Args:
        module: the detector, or its config.
        tta_cfg: ``nms`` and ``max_per_img``.
    """

    def _merge_single_sample(
        self, data_samples: list[DetDataSample]
    ) -> DetDataSample:
        views = [sample.pred_instances for sample in data_samples]
        if views[0].get('masks', None) is None:
            return super()._merge_single_sample(data_samples)
        metas = [sample.metainfo for sample in data_samples]
        bboxes, scores = self.merge_aug_bboxes(
            [view.bboxes for view in views],
            [view.scores for view in views],
            metas,
        )
        if not len(bboxes):
            return data_samples[0]
        labels = torch.cat([view.labels for view in views])
        masks = merge_masks([view.masks for view in views], metas)
        found, kept = batched_nms(bboxes, scores, labels, self.tta_cfg.nms)
        kept = kept[: self.tta_cfg.max_per_img]
        found = found[: self.tta_cfg.max_per_img]
        merged = data_samples[0]
        merged.pred_instances = InstanceData(
            bboxes=found[:, :4],
            scores=found[:, 4],
            labels=labels[kept],
            masks=masks[kept],
        )
        return merged


def merge_masks(views: Sequence[Tensor], metas: Sequence[dict]) -> Tensor:
    """Return the masks of all views as they lie in the image.

    Args:
        views: for each view (n, H, W).
        metas: for each view, among others, ``flip`` and ``flip_direction``.

    Returns:
        Tensor: (sum of n, H, W).
    """
    upright = [
        masks.flip(_FLIPPED[meta['flip_direction']]) if meta['flip'] else masks
        for masks, meta in zip(views, metas)
    ]
    return torch.cat(upright)
