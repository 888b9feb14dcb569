"""A run: the ratios of one checkpoint, or of a whole training."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path

from ..analysis.layer_names import common_name, network_order
from ..checkpoints.norm_layers import UNNAMED
from ..checkpoints.reading import CheckpointError, load_checkpoint
from .history import FILE_NAME, HistoryLayer, read_history
from .layers import LayerRatios, read_layers

_SNAPSHOT = re.compile(r'(epoch|iter)_(\d+)\.pth')


@dataclass(frozen=True)
class Snapshot:
    """The ratios of a network at one point of its training.

    Attributes:
        layers: its layers with ratios, in network order.
        iteration: iterations of training so far, if known.
        epoch: epochs of training so far, if known.
        path: the checkpoint; None for an entry of the history.
    """

    layers: list[LayerRatios]
    iteration: int | None = None
    epoch: int | None = None
    path: Path | None = None


@dataclass(frozen=True)
class Run:
    """What is known of one training; a single checkpoint is one snapshot.

    Attributes:
        path: the checkpoint or work directory.
        snapshots: in the order of the training, all of the same layers.
        notes: what the files leave open.
    """

    path: Path
    snapshots: list[Snapshot]
    notes: list[str] = field(default_factory=list)

    @property
    def layers(self) -> list[LayerRatios]:
        """The layers as the training left them, in network order."""
        return self.snapshots[-1].layers

    @property
    def stats(self) -> tuple[str, ...]:
        """The statistics that any of the layers mixes."""
        return tuple(
            dict.fromkeys(s for layer in self.layers for s in layer.stats)
        )

    @property
    def time_axis(self) -> str:
        """What counts the training: 'iteration', else 'epoch'."""
        known = all(s.iteration is not None for s in self.snapshots)
        return 'iteration' if known else 'epoch'

    @property
    def times(self) -> list[int]:
        """When each snapshot was taken, along the time axis."""
        return [getattr(snap, self.time_axis) for snap in self.snapshots]


def read_run(path: str | Path) -> Run:
    """Read the ratios of a checkpoint or of a work directory.

    A work directory may hold ``epoch_*.pth`` and ``iter_*.pth``, a
    ``ratio_history.jsonl``, or all of these; where both know an iteration
    the checkpoint counts, since the history is rounded.

    Args:
        path: an mmengine training checkpoint, a state dict, or a folder.

    Raises:
        CheckpointError: If the file is no checkpoint, has no layer with
            ratios, or logits that are not those of its layer; if a folder
            holds nothing to read or files of different networks.
        OSError: If a file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return _read_work_dir(path)
    snapshot = _read_snapshot(path)
    return Run(path, [snapshot], _unnamed(snapshot.layers))


def in_forward_order(run: Run, fields: Mapping[str, int | str | None]) -> Run:
    """Put the layers of a run into the order of the forward pass.

    Args:
        run: the run.
        fields: receptive fields in the order of the forward pass, from
            `analysis.forward_order.trace_forward`.

    Returns:
        Run: The same with the layers in that order, each with its field.
        Layers that are not in ``fields`` follow at the end, with a note.

    Raises:
        CheckpointError: If no layer of the run is in ``fields``.
    """
    places = {
        common_name(name): (index, extent)
        for index, (name, extent) in enumerate(fields.items())
    }
    names = [layer.name for layer in run.layers]
    foreign = [name for name in names if common_name(name) not in places]
    if len(foreign) == len(names):
        raise CheckpointError(
            f'{run.path}: no layer of it runs in the network of the config: '
            f'it has {names[0]}, the config {next(iter(fields), "no norm")}; '
            f'give the config it was trained with'
        )
    notes = list(run.notes)
    if foreign:
        notes.append(
            f'{len(foreign)} layer(s) do not run in the network of the '
            f'config and stand last: {", ".join(foreign)}.'
        )
    last = (len(places), None)

    def place(layer: LayerRatios) -> tuple[int, int | str | None]:
        return places.get(common_name(layer.name), last)

    snapshots = [
        replace(
            snapshot,
            layers=[
                replace(layer, receptive_field=place(layer)[1])
                for layer in sorted(snapshot.layers, key=lambda i: place(i)[0])
            ],
        )
        for snapshot in run.snapshots
    ]
    return Run(run.path, snapshots, notes)


def _read_snapshot(path: Path) -> Snapshot:
    checkpoint = load_checkpoint(path)
    counts = {
        key: value
        for key in ('iter', 'epoch')
        if isinstance(value := checkpoint.meta.get(key), int)
    }
    if named := _SNAPSHOT.fullmatch(path.name):
        counts[named[1]] = int(named[2])
    layers = read_layers(checkpoint)
    return Snapshot(layers, counts.get('iter'), counts.get('epoch'), path)


def _read_work_dir(path: Path) -> Run:
    files = [file for file in path.iterdir() if _SNAPSHOT.fullmatch(file.name)]
    checkpoints = sorted(map(_read_snapshot, files), key=_time)
    history, notes = [], []
    if (path / FILE_NAME).exists():
        history, notes = _read_history(path / FILE_NAME, checkpoints[-1:])
    found = {_time(snapshot): snapshot for snapshot in history}
    found |= {_time(snapshot): snapshot for snapshot in checkpoints}
    merged = [found[time] for time in sorted(found)]
    if not merged:
        raise CheckpointError(
            f'{path}: no epoch_*.pth, iter_*.pth or snapshot in a '
            f'{FILE_NAME}; name a checkpoint file or a work directory'
        )
    _check_same_layers(path, merged)
    run = Run(path, merged, [*_unnamed(merged[-1].layers), *notes])
    if None in run.times:
        raise CheckpointError(
            f'{path}: has epoch_*.pth and iter_*.pth that do not say when '
            f'they were saved; name the checkpoint files instead'
        )
    return run


def _time(snapshot: Snapshot) -> tuple[int, int]:
    if snapshot.iteration is None:
        return 0, snapshot.epoch
    return snapshot.iteration, 0


def _read_history(
    path: Path, latest: Sequence[Snapshot]
) -> tuple[list[Snapshot], list[str]]:
    try:
        history = read_history(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from None
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
    diverged = len(history.iterations) - len(snapshots)
    notes = [
        f'{diverged} snapshot(s) of {path.name} are not numbers and left out: '
        f'the training had diverged.'
    ]
    return snapshots, notes if diverged else []


def _history_layer(
    layer: HistoryLayer,
    known: Mapping[str, LayerRatios],
    mean: list[float],
    var: list[float],
) -> LayerRatios:
    groups = {'mean_groups': [mean], 'var_groups': [var]}
    same = known.get(layer.name)
    if same is not None and same.stats == layer.stats:
        return replace(same, **groups)  # a checkpoint tells more of it
    return LayerRatios(layer.name, layer.type, layer.stats, **groups)


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


def _unnamed(layers: list[LayerRatios]) -> list[str]:
    unnamed = Counter(
        (layer.type, len(layer.stats)) for layer in layers if not layer.named
    )
    return [
        f'{count} {kind} layer(s) mix {num_stats} statistics, but the '
        f'checkpoint does not say which: {UNNAMED}1 is that of the first '
        f'logit, and so on.'
        for (kind, num_stats), count in unnamed.items()
    ]
