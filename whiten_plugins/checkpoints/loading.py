"""Trained models from a config and a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from ..config.building import build_model
from ..utils.texts import shorten
from .reading import Checkpoint, CheckpointError, load_checkpoint


def load_model(cfg: Config, checkpoint: str | Path) -> tuple[nn.Module, dict]:
    """Build the model of a config and load its weights.

    Args:
        cfg: the whole config.
        checkpoint: file with the weights, which are all it is trusted with.

    Returns:
        The model in evaluation mode, and the checkpoint's ``meta``.

    Raises:
        ConfigError: if the model cannot be built.
        CheckpointError: if the file cannot be read, or lacks weights of the
            model.
    """
    loaded = load_checkpoint(checkpoint)
    model = build_model(cfg)
    load_weights(model, loaded)
    model.train(False)
    return model, dict(loaded.meta)


def load_weights(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Load the weights of a checkpoint into a model.

    The checkpoint must hold all of the model's weights; any others are named
    in a warning.

    Raises:
        CheckpointError: if some are missing or have another shape, in one
            line of bounded length: a checkpoint may hold any names.
    """
    path, mismatches = checkpoint.path, []
    try:
        missing, unexpected = model.load_state_dict(
            checkpoint.state_dict, strict=False
        )
    except RuntimeError as error:
        _, *mismatches = map(str.strip, str(error).splitlines())
    if mismatches:
        raise CheckpointError(
            f'{path}: is not of the network in the config: '
            f'{shorten(mismatches, 1)}'
        )
    if missing:
        raise CheckpointError(
            f'{path}: is not of the network in the config: lacks '
            f"{len(missing)} of the model's tensors, {shorten(missing, 1)}"
        )
    if unexpected:
        print_log(
            f'{path}: the model has no place for {len(unexpected)} tensors, '
            f'{shorten(unexpected, 1)}',
            logger='current',
            level=logging.WARNING,
        )
