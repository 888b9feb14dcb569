"""From a config and its training images to a table, JSON and a page."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger, print_log
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from rich.console import Console
from torch import nn

from ..calibration.data import sample_loader
from ..checkpoints.loading import load_model
from ..config.building import build_model
from ..config.errors import ConfigError
from ..utils.files import check_free, write_texts
from ..utils.machine import describe_machine
from .diagnose import diagnose
from .page import render
from .results import Diagnosis
from .table import print_diagnosis

FILES = ('diagnosis.html', 'diagnosis.json')


def diagnose_config(
    cfg: Config,
    checkpoint: str | Path | None = None,
    *,
    num_batches: int = 20,
    device: str | None = None,
    backward: bool = False,
    seed: int = 0,
) -> Diagnosis:
    """Diagnose the network of a config on its training images.

    Images, augmentation and batch size are those of ``train_dataloader``.

    Args:
        cfg: config of the training.
        checkpoint: weights of the network. Default: those that its training
            starts from, ``load_from`` or the ``init_cfg`` of its parts.
        num_batches: mini-batches to look at; fewer where the data set has
            no more.
        device: as 'cpu' or 'cuda:0'. Default: the GPU if there is one.
        backward: also look at the gradients of the loss.
        seed: of the choice of images and everything random.

    Raises:
        ConfigError: if the config has no training images, its model cannot
            be built, or the device is not there.
        CheckpointError: if ``checkpoint`` is not of this network.
        ValueError: if ``num_batches`` is not positive.
    """
    if num_batches < 1:
        raise ValueError(f'batches must be at least 1, got {num_batches}')
    if cfg.get('train_dataloader') is None:
        raise ConfigError(f'{cfg.filename}: has no train_dataloader')
    place = _device(device)
    model, origin = _load(cfg, checkpoint)
    model.to(place)
    batches = _batches(cfg, num_batches, seed)
    found = diagnose(model, batches, backward=backward, cfg=cfg, seed=seed)
    found.about |= {
        'config': str(cfg.filename or ''),
        'weights': origin,
        'images a batch': cfg.train_dataloader.get('batch_size', 1),
        'machine': describe_machine(place),
    }
    return found


def write_diagnosis(
    found: Diagnosis,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    console: Console | None = None,
) -> list[Path]:
    """Print a diagnosis and write it to a folder.

    Args:
        found: the diagnosis.
        out: folder for ``diagnosis.json`` and the page ``diagnosis.html``;
            made if missing. Default: nothing is written.
        overwrite: replace these files if they exist.
        console: where to print. Default: the terminal.

    Returns:
        list[Path]: The files that were written.

    Raises:
        OSError: if a file exists and is not to be overwritten.
    """
    files = [] if out is None else check_out(out, overwrite)
    if files:
        text = json.dumps(found.to_dict(), indent=1, allow_nan=False)
        write_texts(dict(zip(files, (render(found), text + '\n'))))
    print_diagnosis(found, console or Console())
    return files


def check_out(out: str | Path, overwrite: bool = False) -> list[Path]:
    """Return the files to write in a folder after checking that they are free.

    Raises:
        OSError: if ``out`` is a file, or one of its files is there and not
            to be overwritten.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f'{folder}: is a file, not a folder')
    files = [folder / name for name in FILES]
    check_free(files, overwrite, file_name='folder')
    return files


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or get_device())
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = ' '.join(str(error).split())
        raise ConfigError(
            f'device {name!r} cannot be used: {reason}'
        ) from None
    return device


def _load(cfg: Config, checkpoint: str | Path | None) -> tuple[nn.Module, str]:
    """Build the model with its weights and say where they come from."""
    checkpoint = checkpoint or cfg.get('load_from')
    if checkpoint is not None:
        return load_model(cfg, checkpoint)[0], str(checkpoint)
    model = build_model(cfg)
    # mmengine logs three lines for every tensor that it initializes.
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        try:
            cast(BaseModule, model).init_weights()
        except Exception as error:  # a download, a file, anything
            reason = ' '.join(str(error).split())
            raise ConfigError(
                'the weights that the config starts from cannot be loaded: '
                f'{reason[:200]}; name a CHECKPOINT'
            ) from error
        finally:
            logger.setLevel(level)
    return model, 'as a training starts'


def _batches(cfg: Config, number: int, seed: int) -> Iterator[Any]:
    scope = cfg.get('default_scope')
    with DefaultScope.overwrite_default_scope(scope):
        try:
            trained = Runner.build_dataloader(cfg.train_dataloader, seed=seed)
        except Exception as error:  # a data set can fail in any way
            reason = ' '.join(str(error).split())
            raise ConfigError(
                'the training images cannot be read: '
                f'{type(error).__name__}: {reason[:200]}'
            ) from error
    size = trained.batch_sampler.batch_size
    available = len(trained.dataset)
    if number * size > available:
        print_log(
            f'the training set has {available} images, fewer than {number} '
            f'batches of {size}',
            logger='current',
            level=logging.WARNING,
        )
    loader = sample_loader(trained, min(number * size, available), seed=seed)
    return islice(iter(loader), number)
