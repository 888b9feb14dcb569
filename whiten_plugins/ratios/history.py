"""The ratios of a training over time, a line a snapshot.

``ratio_history.jsonl`` begins with a line that names the layers::

    {"format": "whiten_plugins.ratio_history", "version": 1,
     "layers": [{"name": "backbone.bn1", "type": "SN",
                 "stats": ["in", "ln", "bn"]}, ...]}

(on one line, which may say more: ``started``, when the training began, its
``interval`` of iterations between snapshots and its ``max_iters``), and goes
on with one for each snapshot, its ratios in the order
of the layers and of their statistics::

    {"iter": 50, "epoch": 1, "mean": [[0.3, 0.3, 0.4], ...],
     "var": [[0.2, 0.3, 0.5], ...]}

A ratio that is not a number, of a training that diverged, is ``null``.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from ..utils.files import write_texts

FILE_NAME = 'ratio_history.jsonl'
TIME_FORMAT = '%Y%m%d_%H%M%S'  # as in the meta of mmengine's checkpoints
_FORMAT = {'format': 'whiten_plugins.ratio_history', 'version': 1}
_DECIMALS = 5
_DAMAGE = (ValueError, KeyError, TypeError, OverflowError, RecursionError)

Ratios = list[list[float]]


@dataclass(frozen=True)
class HistoryLayer:
    """A layer of a history.

    Attributes:
        name: name of the module in the network.
        type: its type, of a Sync norm the local one.
        stats: the statistics, in the order of the ratios.
    """

    name: str
    type: str
    stats: tuple[str, ...]


@dataclass(frozen=True)
class RatioHistory:
    """What :class:`~.hook.RatioHook` saw of a training.

    Attributes:
        layers: the layers in network order.
        iterations: iterations that were done at each snapshot, increasing.
        epochs: the epoch of each snapshot, counted from 1; 0 before the
            first iteration.
        mean: ratios of the means, of each layer of each snapshot, averaged
            over a layer's ratio groups.
        var: those of the (co)variances.
        started: when the training began, in a form that sorts by time; None
            where an older history does not say, as with those that follow.
        interval: iterations between snapshots.
        max_iters: iterations of the whole training.
    """

    layers: list[HistoryLayer]
    iterations: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    mean: list[Ratios] = field(default_factory=list)
    var: list[Ratios] = field(default_factory=list)
    started: str | None = None
    interval: int | None = None
    max_iters: int | None = None


def read_history(path: str | Path) -> RatioHistory:
    """Read a ratio history.

    A last line without its end, as a crash leaves it, is ignored.

    Args:
        path: the file that :class:`~.hook.RatioHook` wrote.

    Raises:
        OSError: If there is no such file or it cannot be read.
        ValueError: If it is not a ratio history, or is damaged elsewhere
            than at its end.
    """
    try:
        lines = Path(path).read_bytes().decode().split('\n')[:-1]
    except UnicodeDecodeError:
        raise ValueError(f'{path}: not a ratio history') from None
    header = _header(lines[0] if lines else '', path)
    history = RatioHistory(
        _layers(header),
        started=_entry(header, 'started', str),
        interval=_entry(header, 'interval', int),
        max_iters=_entry(header, 'max_iters', int),
    )
    for number, line in enumerate(lines[1:], start=2):
        try:
            _append(history, json.loads(line))
        except _DAMAGE as error:
            raise ValueError(
                f'{path}: line {number} is not a snapshot of the '
                f'{len(history.layers)} layers in its first line ({error!r})'
            ) from None
    return history


def start_history(
    path: Path,
    layers: Sequence[HistoryLayer],
    iteration: int = 0,
    *,
    interval: int | None = None,
    max_iters: int | None = None,
) -> Path | None:
    """Make a file ready for the snapshots that follow an iteration.

    A resumed training goes on with the history of the same layers: its
    snapshots up to ``iteration`` stay, those after it go. Anything else that
    is there is kept under another name, for nobody's history is overwritten.

    Args:
        path: the file.
        layers: the layers in the order of the ratios to come.
        iteration: iterations that are done; 0 for a new training.
        interval: iterations between snapshots. Without it the history does
            not say when it started either.
        max_iters: iterations of the whole training.

    Returns:
        Where another history went, or None.
    """
    header: dict[str, Any] = dict(_FORMAT)
    if interval is not None:
        header['started'] = time.strftime(TIME_FORMAT)
        header['interval'] = interval
        header['max_iters'] = max_iters
    header['layers'] = [asdict(layer) for layer in layers]
    moved = None
    if os.path.lexists(path):
        if iteration > 0 and _go_on(path, layers, iteration, header):
            return None
        moved = _free_name(path)
        os.rename(path, moved)
    _replace(path, _line(header))
    return moved


def append_snapshot(
    path: Path, iteration: int, epoch: int, mean: Ratios, var: Ratios
) -> None:
    """Add a snapshot to the end of a history."""
    snapshot = {
        'iter': iteration,
        'epoch': epoch,
        'mean': _rounded(mean),
        'var': _rounded(var),
    }
    with path.open('a', encoding='utf-8') as file:
        file.write(_line(snapshot))


def _go_on(
    path: Path,
    layers: Sequence[HistoryLayer],
    iteration: int,
    header: dict[str, Any],
) -> bool:
    """Drop what follows an iteration so that the history can continue.

    Return False and leave the file alone if it is not a history of these
    layers.
    """
    try:
        history = read_history(path)
    except ValueError:
        return False
    if history.layers != list(layers):
        return False
    kept = sum(done <= iteration for done in history.iterations)
    if 'started' in header:
        header = {**header, 'started': history.started}
    lines = path.read_text(encoding='utf-8').splitlines(keepends=True)
    _replace(path, _line(header) + ''.join(lines[1 : kept + 1]))
    return True


def _free_name(path: Path) -> Path:
    """Return ``ratio_history.1.jsonl``, or the first number not taken."""
    names = (
        path.with_name(f'{path.stem}.{number}{path.suffix}')
        for number in count(1)
    )
    return next(name for name in names if not os.path.lexists(name))


def _header(line: str, path: str | Path) -> dict[str, Any]:
    """Parse the first line and check that it is the header of a history."""
    try:
        header = json.loads(line)
        found = {key: header[key] for key in _FORMAT}
        _layers(header)
    except _DAMAGE:
        raise ValueError(f'{path}: not a ratio history') from None
    if found != _FORMAT:
        raise ValueError(
            f'{path}: is {found["format"]} of version {found["version"]}; '
            f'known is {_FORMAT["format"]} of version {_FORMAT["version"]}'
        )
    return header


def _layers(header: dict[str, Any]) -> list[HistoryLayer]:
    layers = [
        HistoryLayer(layer['name'], layer['type'], tuple(layer['stats']))
        for layer in header['layers']
    ]
    for layer in layers:
        for text in (layer.name, layer.type, *layer.stats):
            # They reach the terminal and the names of colours.
            if not (isinstance(text, str) and text.isprintable()):
                raise ValueError(f'{text!r:.80} is not a name')
    return layers


def _entry(header: dict[str, Any], key: str, kind: type) -> Any:
    value = header.get(key)
    return value if type(value) is kind else None


def _append(history: RatioHistory, snapshot: dict) -> None:
    iteration, epoch = snapshot['iter'], snapshot['epoch']
    last = history.iterations[-1] if history.iterations else -1
    if not (isinstance(iteration, int) and isinstance(epoch, int)):
        raise ValueError('iter and epoch must be integers')
    if iteration <= last:
        raise ValueError(f'iter {iteration} after {last}')
    sizes = [len(layer.stats) for layer in history.layers]
    moments = [_numbers(snapshot[key], sizes) for key in ('mean', 'var')]
    history.iterations.append(iteration)
    history.epochs.append(epoch)
    history.mean.append(moments[0])
    history.var.append(moments[1])


def _numbers(rows: list, sizes: list[int]) -> Ratios:
    if [len(row) for row in rows] != sizes:
        raise ValueError('another number of ratios')
    return [[math.nan if r is None else r + 0.0 for r in row] for row in rows]


def _rounded(ratios: Ratios) -> list[list[float | None]]:
    return [
        [round(r, _DECIMALS) if math.isfinite(r) else None for r in row]
        for row in ratios
    ]


def _line(content: dict) -> str:
    return json.dumps(content, separators=(',', ':')) + '\n'


def _replace(path: Path, text: str) -> None:
    write_texts({path: text})
