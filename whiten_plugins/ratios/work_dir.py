"""A work directory: the checkpoints and the ratio history of one training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from ..analysis.layer_names import network_order
from ..checkpoints.reading import CheckpointError
from .history import FILE_NAME, HistoryLayer, RatioHistory, read_history
from .layers import LayerRatios
from .snapshots import CHECKPOINT_NAME, Snapshot, read_snapshot

_ROUNDING = 1e-4  # of ratios in a history, and to spare


def read_work_dir(path: Path) -> tuple[list[Snapshot], list[str]]:
    """Read all snapshots of a training, and what the files leave open.

    Where a checkpoint and the history know an iteration the checkpoint
    counts, since the history is rounded. What is there of an earlier
    training is left out, and so is what cannot be read.

    Args:
        path: a folder with ``epoch_*.pth`` and ``iter_*.pth``, a ratio
            history, or both.

    Raises:
        CheckpointError: If there is nothing to read, or what there is
            belongs to different networks.
    """
    history = None
    if (path / FILE_NAME).exists():
        try:
            history = read_history(path / FILE_NAME)
        except ValueError as error:
            raise CheckpointError(str(error)) from None
    checkpoints, notes = _read_checkpoints(path, history)
    if history is not None:
        checkpoints = [_named(found, history) for found in checkpoints]
    snapshots = _of_history(history, checkpoints[-1:]) if history else []
    diverged = len(history.iterations) - len(snapshots) if history else 0
    if diverged:
        notes.append(
            f'{diverged} snapshot(s) of {FILE_NAME} are not numbers and left '
            f'out: the training had diverged.'
        )
    merged = {_time(snapshot): snapshot for snapshot in snapshots}
    merged |= {_time(snapshot): snapshot for snapshot in checkpoints}
    if not merged:
        raise CheckpointError(
            f'{path}: no epoch_*.pth, iter_*.pth or snapshot in a '
            f'{FILE_NAME}; name a checkpoint file or a work directory'
        )
    ordered = [merged[time] for time in sorted(merged)]
    _check_same_layers(path, ordered)
    return ordered, notes


def _read_checkpoints(
    path: Path, history: RatioHistory | None
) -> tuple[list[Snapshot], list[str]]:
    """Read the checkpoints of the latest training in order, with notes."""
    names = (f for f in path.iterdir() if CHECKPOINT_NAME.fullmatch(f.name))
    found, notes, errors = [], [], []
    for file in sorted(names):
        try:
            found.append(read_snapshot(file))
        except CheckpointError as error:
            errors.append(error)
            message = str(error).removeprefix(f'{path}/')
            notes.append(f'Left out, for it cannot be read: {message}.')
    if errors and not (found or history):
        raise errors[-1]
    kept = [s for s in found if not _contradicts(s, found, history)]
    older = sorted(s.path.name for s in found if s not in kept and s.path)
    if older:
        notes.append(
            f'Left out, for it is not of the latest training in this folder: '
            f'{", ".join(older)}.'
        )
    if history is not None and any(snapshot.averaged for snapshot in kept):
        kept = [
            read_snapshot(s.path, trained=True) if s.averaged and s.path else s
            for s in kept
        ]
        notes.append(
            'The checkpoints hold averaged weights (EMAHook) beside those '
            'that are trained. Shown are the trained ones, as the history '
            'has them; name a checkpoint file for its averaged ones.'
        )
    return sorted(kept, key=_time), notes


def _contradicts(
    snapshot: Snapshot,
    others: Sequence[Snapshot],
    history: RatioHistory | None,
) -> bool:
    """Return whether a checkpoint is not of the latest training."""
    latest = max(
        (s for s in others if s.saved is not None),
        key=lambda s: (s.saved, _time(s)),
        default=None,
    )
    if latest and snapshot.saved and _time(snapshot) > _time(latest):
        return True
    iteration = snapshot.iteration
    if history is None or iteration is None or not history.iterations:
        return False
    first, last = history.iterations[0], history.iterations[-1]
    if iteration > first and snapshot.saved and history.started:
        if snapshot.saved < history.started:
            return True
    if history.max_iters is not None and iteration > history.max_iters:
        return True
    if history.interval and iteration // history.interval * (
        history.interval
    ) > max(first, last):
        return True  # the history would have gone on
    # An older history does not say that it and the checkpoints are of one
    # kind of weights.
    comparable = history.started is not None and not snapshot.averaged
    if not comparable or iteration not in history.iterations:
        return False
    return _differs(snapshot, history, history.iterations.index(iteration))


def _differs(snapshot: Snapshot, history: RatioHistory, index: int) -> bool:
    known = {
        layer.name: ratios
        for layer, *ratios in zip(
            history.layers, history.mean[index], history.var[index]
        )
    }
    for layer in snapshot.layers:
        for shares, row in zip(
            (layer.mean.values(), layer.var.values()),
            known.get(layer.name, ([], [])),
        ):
            gaps = [abs(a - b) for a, b in zip(shares, row) if isfinite(b)]
            if max(gaps, default=0.0) > _ROUNDING:
                return True
    return False


def _named(snapshot: Snapshot, history: RatioHistory) -> Snapshot:
    """Fill in types and statistics that the checkpoint does not name.

    They are taken from the history.
    """
    known = {layer.name: layer for layer in history.layers}
    layers = []
    for layer in snapshot.layers:
        same = known.get(layer.name)
        if same and not layer.named and len(same.stats) == len(layer.stats):
            layer = replace(layer, type=same.type, stats=same.stats)
        layers.append(layer)
    return replace(snapshot, layers=layers)


def _time(snapshot: Snapshot) -> tuple[int, int]:
    if snapshot.iteration is None:
        return 0, snapshot.epoch or 0
    return snapshot.iteration, 0


def _of_history(
    history: RatioHistory, latest: Sequence[Snapshot]
) -> list[Snapshot]:
    """Return the history's snapshots, except those with non-finite ratios."""
    known = {layer.name: layer for snap in latest for layer in snap.layers}
    order = network_order(layer.name for layer in history.layers)
    snapshots = []
    for iteration, epoch, mean, var in zip(
        history.iterations, history.epochs, history.mean, history.var
    ):
        if all(isfinite(ratio) for row in (*mean, *var) for ratio in row):
            layers = {
                layer.name: _history_layer(layer, known, *ratios)
                for layer, *ratios in zip(history.layers, mean, var)
            }
            ordered = [layers[name] for name in order]
            snapshots.append(Snapshot(ordered, iteration, epoch))
    return snapshots


def _history_layer(
    layer: HistoryLayer,
    known: Mapping[str, LayerRatios],
    mean: list[float],
    var: list[float],
) -> LayerRatios:
    same = known.get(layer.name)
    if same is not None and same.stats == layer.stats:
        # a checkpoint tells more of it
        return replace(same, mean_groups=[mean], var_groups=[var])
    return LayerRatios(layer.name, layer.type, layer.stats, [mean], [var])


def _check_same_layers(path: Path, snapshots: Sequence[Snapshot]) -> None:
    last = snapshots[-1]
    expected = [(layer.name, layer.stats) for layer in last.layers]
    for snapshot in snapshots:
        found = [(layer.name, layer.stats) for layer in snapshot.layers]
        if found != expected:
            raise CheckpointError(
                f'{snapshot.path or path / FILE_NAME}: has other layers than '
                f'{last.path or "the last snapshot"}; a work directory holds '
                f'one training'
            )
