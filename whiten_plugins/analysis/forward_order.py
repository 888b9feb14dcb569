"""The norms of a network in forward order, with their receptive fields."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from ..config.building import build_model
from ..placement.norm_types import channel_norms
from ..utils.module_state import restored_afterwards
from .example_inputs import ExampleRun, example_shapes, run_example
from .receptive_field import ROI, Field, FieldTracker, merge


def trace_forward(
    cfg: Config, image_size: Sequence[int] | None = None
) -> dict[str, int | str | None]:
    """Run the model of a config once and watch its norms.

    The model is run in evaluation mode on one random image, with random
    weights, on the CPU; a detector's heads see a few RoIs.

    Args:
        cfg: the whole config.
        image_size: (H, W) of the image, on which no field depends. Default:
            a small one, else one that the config names.

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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(cfg)
    with restored_afterwards(model):
        model.train(False)
        found = run_example(
            model, example_shapes(cfg, image_size), partial(_fields, model)
        )
    return {
        name: None if field is None else field.extent
        for name, field in found.items()
    }


def _fields(model: Any, run: ExampleRun) -> dict[str, Field | None]:
    tracker = FieldTracker()
    tracker.assign(run.image, Field())
    with ExitStack() as hooks, torch.no_grad(), tracker:
        found = _watch(model, tracker, hooks)
        run.forward()
        # mmseg runs its auxiliary heads in training alone.
        if getattr(model, 'with_auxiliary_head', False):
            heads = model.auxiliary_head
            features = model.extract_feat(run.image)
            for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
                head(features)
    return found


def _watch(
    model: nn.Module, tracker: FieldTracker, hooks: ExitStack
) -> dict[str, Field | None]:
    """Collect the fields of the norms as they run.

    Hooks cover what the tracker cannot see into.

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
        elif _is_roi_extractor(module):
            field = None if field is None else field.pool(ROI)
        else:
            field = _deformed(module, [tracker.field(arg) for arg in args])
        tracker.assign(out, field)

    for module in model.modules():
        if module in norms or _is_roi_extractor(module) or _deforms(module):
            for handle in (
                module.register_forward_pre_hook(enter),
                module.register_forward_hook(leave),
            ):
                hooks.callback(handle.remove)
    return found


def _deformed(module: Any, fields: Sequence[Field | None]) -> Field | None:
    """Return the field after a deformable convolution.

    The first of the maps is what it convolves; the others are its offsets
    and masks, one for each position of the output.

    Offsets move what is sampled, by no known distance: as for the regular
    convolution, the field is that of zero offsets. Where a layer computes
    them itself, it does so from the same window.
    """
    values, *others = fields
    if values is not None:
        values = values.window(
            module.kernel_size, module.stride, module.dilation
        )
    return merge([f for f in (values, *others) if f is not None])


def _is_roi_extractor(module: nn.Module) -> bool:
    names = (base.__name__ for base in type(module).__mro__)
    return any('RoIExtractor' in name for name in names)


def _deforms(module: nn.Module) -> bool:
    """Return whether a module is a deformable convolution."""
    return 'Deform' in type(module).__name__ and hasattr(module, 'kernel_size')
