"""The norms of a network in the order of its forward pass, each with its
receptive field."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from torch import nn

from ..config.building import build_model
from ..config.errors import ConfigError
from ..placement.norm_types import channel_norms
from .receptive_field import ROI, Field, FieldTracker, merge

IMAGE_SIZE = 128  # pixels a side: no field depends on it


def trace_forward(cfg: Config) -> dict[str, int | str | None]:
    """Run the model of a config once and watch its norms.

    The model is run in evaluation mode on one small random image, with
    random weights, on the CPU; a detector's heads see a few RoIs.

    Args:
        cfg: the whole config.

    Returns:
        dict: The receptive field of each norm by its name, in the order in
        which they run: pixels on the longer side, 'image' or 'RoI' after
        pooling a whole map or RoI, None where it could not be followed. A
        norm that runs on several levels of a pyramid has the largest field.
        Norms that the pass does not reach are left out.

    Raises:
        ConfigError: if the model cannot be built or run.
    """
    cfg = copy.deepcopy(cfg)
    if cfg.get('model', {}).get('test_cfg', {}).get('rpn'):
        cfg.model.test_cfg.rpn.max_per_img = 4
    tracker = FieldTracker()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(cfg)
        model.eval()
        found = _watch(model, tracker)
        _run_safely(model, tracker)
    return {name: field and field.extent for name, field in found.items()}


def _run_safely(model: nn.Module, tracker: FieldTracker) -> None:
    try:
        with torch.no_grad(), tracker:
            _run(model, tracker)
    except Exception as error:  # a model can do anything
        raise ConfigError(
            f'the model of the config does not run on one image of '
            f'{IMAGE_SIZE}×{IMAGE_SIZE} pixels, which order and receptive '
            f'fields are read from: {type(error).__name__}: '
            f'{" ".join(str(error).split())}'
        ) from error


def _run(model: nn.Module, tracker: FieldTracker) -> None:
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE)
    tracker.assign(image, Field())
    size = (IMAGE_SIZE, IMAGE_SIZE)
    sample = BaseDataElement(
        metainfo=dict(
            img_shape=size,
            ori_shape=size,
            pad_shape=size,
            batch_input_shape=size,
            scale_factor=(1.0, 1.0),
        )
    )
    model(image, [sample], mode='tensor')
    # mmseg runs its auxiliary heads in training alone.
    if getattr(model, 'with_auxiliary_head', False):
        heads = model.auxiliary_head
        features = model.extract_feat(image)
        for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
            head(features)


def _watch(model: nn.Module, tracker: FieldTracker) -> dict[str, Field | None]:
    """Hook what the tracker cannot see into, and collect the norms' fields
    as they run.

    The mean that a norm takes over the image does not widen the field of
    its layer; the operators of mmcv are no operations of torch.
    """
    found: dict[str, Field | None] = {}
    norms = {norm: name for name, norm in channel_norms(model).items()}

    def enter(module: nn.Module, args: Any) -> None:
        tracker.suspensions += 1

    def leave(module: nn.Module, args: Any, out: Any) -> None:
        tracker.suspensions -= 1
        field = tracker.field(args)
        if module in norms:
            name = norms[module]
            seen = [found.get(name), field]
            found[name] = merge([item for item in seen if item is not None])
        elif field is not None:
            field = _leaf_field(module, field)
        tracker.assign(out, field)

    for module in model.modules():
        if module in norms or _is_roi_extractor(module) or _deforms(module):
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)
    return found


def _leaf_field(module: nn.Module, field: Field) -> Field:
    if _is_roi_extractor(module):
        return field.pool(ROI)
    return field.window(module.kernel_size, module.stride, module.dilation)


def _is_roi_extractor(module: nn.Module) -> bool:
    names = (base.__name__ for base in type(module).__mro__)
    return any('RoIExtractor' in name for name in names)


def _deforms(module: nn.Module) -> bool:
    """Whether it is a deformable convolution; its field is that of the
    regular one."""
    return 'Deform' in type(module).__name__ and hasattr(module, 'kernel_size')
