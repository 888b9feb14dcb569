"""Norms on maps whose size the network fixes: image pooling of ASPP, PSP."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ..norms.base import SyncStatistics, WhiteningNorm
from ..placement.norm_types import num_channels
from .norms import source_of


def pooled_norms(
    model: nn.Module,
) -> Iterator[tuple[str, nn.Module, int]]:
    """Yield the norms that follow an average of the whole map in a sequence.

    Each comes as its name, its module, and the side of the map that is
    left, in elements.
    """
    for prefix, sequence in model.named_modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        side = None
        for key, child in sequence.named_children():
            if side is not None:
                for name, module in child.named_modules():
                    if num_channels(module) is not None:
                        full = f'{prefix}.{key}.{name}'.strip('.')
                        yield full, module, side
            side = _pooled_side(child) or side


def _pooled_side(module: nn.Module) -> int | None:
    if not isinstance(module, nn.AdaptiveAvgPool2d):
        return None
    size = module.output_size
    if isinstance(size, (tuple, list)):
        return size[0] if size[0] == size[1] else None
    return size


def pooling_warnings(model: nn.Module, cfg: Mapping) -> list[str]:
    """Say which norms see 1×1 maps and cannot train on one image.

    The image pooling of ASPP (``image_pool``) and of PSP (pool scale 1)
    leaves one element a channel and image. A norm of this package is tried
    with one image, another one with the images a process trains on. Sync
    norms, which share statistics with other processes, are left out.

    Args:
        model: the model of the config.
        cfg: the whole config.
    """
    images = (cfg.get('train_dataloader') or {}).get('batch_size') or 1
    warnings = []
    for name, norm, side in pooled_norms(model):
        if side > 1 or not is_undefined(norm, images):
            continue
        works = _trains_on(norm, images)
        key = source_of(name, norm, cfg)
        warnings.append(
            f'{key}: {name} ({type(norm).__name__}) sees 1×1 maps, where one '
            f'image defines none of its statistics: training '
            f'{"works only" if works else "fails"} with '
            f'train_dataloader.batch_size={images}; what works: '
            f'{", ".join(_remedies(norm, images))}'
        )
    return warnings


def is_undefined(norm: nn.Module, images: int) -> bool:
    """Return whether a norm cannot be trained on 1×1 maps.

    For a norm of this package that is a single map, for any other the maps
    of all images.
    """
    if isinstance(norm, (SyncStatistics, nn.SyncBatchNorm)):
        return False
    alone = isinstance(norm, WhiteningNorm)
    return not _trains_on(norm, 1 if alone else images)


def _remedies(norm: nn.Module, images: int) -> list[str]:
    remedies = ['SN', 'SW with sw_type=3', 'a Sync norm in several processes']
    if images == 1 and _trains_on(norm, 2):
        remedies.append('train_dataloader.batch_size of 2 or more')
    return remedies


def _trains_on(norm: Any, images: int) -> bool:
    """Return whether a norm can be trained on that many 1×1 maps."""
    norm = copy.deepcopy(norm).to_empty(device='cpu').float().train()
    if hasattr(norm, 'reset_parameters'):
        norm.reset_parameters()
    try:
        channels = num_channels(norm) or 0
        norm(torch.zeros(images, channels, 1, 1, device='cpu'))
    except ValueError:
        return False
    return True
