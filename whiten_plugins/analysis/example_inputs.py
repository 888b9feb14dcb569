"""One image for a model, of whichever toolkit it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def one_image(
    model: nn.Module, input_shape: Sequence[int]
) -> tuple[tuple, dict[str, Any]]:
    """Positional and keyword arguments of ``model`` for one random image.

    A model of mmengine's is called in its mode ``'tensor'``, the network
    without losses and post-processing. Two-stage detectors ask for the size
    of the image there.

    Args:
        model: any network that takes a batch of images.
        input_shape: of the image, (C, H, W).
    """
    like = next(model.parameters(), torch.empty(0))
    image = torch.randn(
        1,
        *input_shape,
        generator=torch.Generator().manual_seed(0),
    ).to(like)
    if is_detector(model):
        return (image,), dict(data_samples=[_data_sample(input_shape[1:])])
    return (image,), {}


def is_detector(model: nn.Module) -> bool:
    """Whether ``model`` is a whole detector of mmdet's."""
    return any(
        f'{kind.__module__}.{kind.__name__}'
        == 'mmdet.models.detectors.base.BaseDetector'
        for kind in type(model).__mro__
    )


def _data_sample(image_size: Sequence[int]) -> Any:
    from mmdet.structures import DetDataSample

    size = tuple(image_size)
    shapes = ('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape')
    return DetDataSample(
        metainfo=dict.fromkeys(shapes, size) | dict(scale_factor=(1.0, 1.0))
    )
