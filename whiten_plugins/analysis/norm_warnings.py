"""Mistakes in the norms of a config, named by the config key."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from mmengine.config import Config
from torch import nn

from ..config.building import build_model
from ..norms.base import SyncStatistics, WhiteningNorm
from ..placement.norm_types import num_channels
from .norms import source_of


def check_norms(cfg: Config) -> list[str]:
    """Build the model of a config and look for mistakes in its norms.

    Args:
        cfg: the whole config.

    Returns:
        list[str]: Warnings, a line each.

    Raises:
        ConfigError: as :func:`build_model`.
    """
    return pooling_warnings(build_model(cfg), cfg)


def pooling_warnings(model: nn.Module, cfg: Config) -> list[str]:
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
    for name, norm in _pooled_norms(model):
        works = _trains_on(norm, images)
        enough = (
            _trains_on(norm, 1) if isinstance(norm, WhiteningNorm) else works
        )
        if enough or isinstance(norm, (SyncStatistics, nn.SyncBatchNorm)):
            continue
        key = source_of(name, norm, cfg)
        warnings.append(
            f'{key}: {name} ({type(norm).__name__}) sees 1×1 maps, where one '
            f'image defines none of its statistics: training '
            f'{"works only" if works else "fails"} with '
            f'train_dataloader.batch_size={images}; what works: '
            f'{", ".join(_remedies(norm, images))}'
        )
    return warnings


def _remedies(norm: nn.Module, images: int) -> list[str]:
    remedies = ['SN', 'SW with sw_type=3', 'a Sync norm in several processes']
    if images == 1 and _trains_on(norm, 2):
        remedies.append('train_dataloader.batch_size of 2 or more')
    return remedies


def _pooled_norms(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Norms that come after an average over the whole map in a sequence."""
    for prefix, sequence in model.named_modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        pooled = False
        for key, child in sequence.named_children():
            if pooled:
                for name, module in child.named_modules():
                    if num_channels(module) is not None:
                        yield f'{prefix}.{key}.{name}'.rstrip('.'), module
            pooled |= _pools_everything(child)


def _pools_everything(module: nn.Module) -> bool:
    if not isinstance(module, nn.AdaptiveAvgPool2d):
        return False
    return module.output_size in (1, (1, 1), [1, 1])


def _trains_on(norm: nn.Module, images: int) -> bool:
    """Whether a norm can be trained on that many 1×1 maps."""
    norm = copy.deepcopy(norm).to_empty(device='cpu').float().train()
    if hasattr(norm, 'reset_parameters'):
        norm.reset_parameters()
    try:
        norm(torch.zeros(images, num_channels(norm), 1, 1, device='cpu'))
    except ValueError:
        return False
    return True
