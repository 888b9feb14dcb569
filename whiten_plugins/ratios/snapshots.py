"""The ratios of a network at one point of its training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..checkpoints.reading import load_checkpoint
from .layers import LayerRatios, read_layers

CHECKPOINT_NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')
TRAINED_WEIGHTS = 'ema_state_dict'
"""Where mmengine's EMAHook puts the weights that are trained; the averaged
ones take their place."""


@dataclass(frozen=True)
class Snapshot:
    """The ratios of a network at one point of its training.

    Attributes:
        layers: its layers with ratios, in network order.
        iteration: iterations of training so far, if known.
        epoch: epochs of training so far, if known.
        path: the checkpoint; None for an entry of the history.
        saved: when the checkpoint was saved, in a form that sorts by time;
            None where it does not say.
        averaged: whether the weights are averages of those that are trained.
    """

    layers: list[LayerRatios]
    iteration: int | None = None
    epoch: int | None = None
    path: Path | None = None
    saved: str | None = None
    averaged: bool = False


def read_snapshot(path: Path, *, trained: bool = False) -> Snapshot:
    """Read the ratios of a checkpoint.

    Args:
        path: the file.
        trained: read the weights that are trained where the file holds
            averaged ones too.

    Raises:
        CheckpointError: If it is none, has no layer with ratios, or logits
            that are not those of its layer.
    """
    checkpoint = load_checkpoint(path)
    averaged = TRAINED_WEIGHTS in checkpoint.others
    if averaged and trained:
        checkpoint = load_checkpoint(path, weights=TRAINED_WEIGHTS)
    counts = {
        key: value
        for key in ('iter', 'epoch')
        if isinstance(value := checkpoint.meta.get(key), int)
    }
    if named := CHECKPOINT_NAME.fullmatch(path.name):
        counts[named[1]] = int(named[2])
    saved = checkpoint.meta.get('time')
    return Snapshot(
        read_layers(checkpoint),
        counts.get('iter'),
        counts.get('epoch'),
        path,
        saved if isinstance(saved, str) else None,
        averaged and not trained,
    )
