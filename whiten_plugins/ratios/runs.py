"""A run: the ratios of one checkpoint, or of a whole training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..analysis.layer_names import common_name
from ..checkpoints.norm_layers import UNNAMED
from ..checkpoints.reading import CheckpointError
from .layers import LayerRatios
from .snapshots import Snapshot, read_snapshot
from .work_dir import read_work_dir


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
    ``ratio_history.jsonl``, or all of these;
    :func:`~.work_dir.read_work_dir` says what counts.

    Args:
        path: an mmengine training checkpoint, a state dict, or a folder.

    Raises:
        CheckpointError: If the file is no checkpoint, has no layer with
            ratios, or logits that are not those of its layer; if a folder
            holds nothing to read or files of different networks.
        OSError: If a file cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        snapshot = read_snapshot(path)
        notes = _unnamed(snapshot.layers)
        if snapshot.averaged:
            notes.append('The weights are averaged ones (EMAHook).')
        return Run(path, [snapshot], notes)
    snapshots, notes = read_work_dir(path)
    run = Run(path, snapshots, [*_unnamed(snapshots[-1].layers), *notes])
    if None in run.times:
        raise CheckpointError(
            f'{path}: has epoch_*.pth and iter_*.pth that do not say when '
            f'they were saved; name the checkpoint files instead'
        )
    return run


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
