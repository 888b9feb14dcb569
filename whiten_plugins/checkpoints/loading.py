"""Trained models from a config and a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from ..config.building import build_model
from .reading import CheckpointError, load_checkpoint


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
    try:
        missing, unexpected = model.load_state_dict(
            loaded.state_dict, strict=False
        )
    except RuntimeError as error:
        raise CheckpointError(
            f'{checkpoint}: {" ".join(str(error).split())}'
        ) from error
    if missing:
        raise CheckpointError(
            f"{checkpoint}: lacks {len(missing)} of the model's tensors, "
            f'{missing[0]} among them'
        )
    if unexpected:
        print_log(
            f'{checkpoint}: the model has no place for {len(unexpected)} '
            f'tensors, {unexpected[0]} among them',
            logger='current',
            level=logging.WARNING,
        )
    model.train(False)
    return model, dict(loaded.meta)
