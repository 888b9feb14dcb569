"""Write the ratios as CSV and JSON.

The CSV has one row per layer and snapshot; the JSON has everything.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .layers import LayerRatios
from .runs import Run, Snapshot
from .seeds import LayerAcross, across
from .summary import (
    MOMENTS,
    Groups,
    average,
    averages_by_part,
    by_receptive_field,
    by_stage,
    changed_choices,
    changes,
    choice,
    divergence,
    split_choices,
)


def to_csv(runs: Sequence[Run]) -> str:
    """Write the ratios of runs as CSV.

    Args:
        runs: one or more checkpoints or trainings.

    Returns:
        str: A header, then a line for each layer of each snapshot. The
        columns ``mean_*`` and ``var_*`` hold the ratio of each statistic,
        averaged over the layer's ratio groups; blank where the layer does
        not mix it.
    """
    stats = dict.fromkeys(stat for run in runs for stat in run.stats)
    ratios = [f'{moment}_{stat}' for moment in MOMENTS for stat in stats]
    fields = ['checkpoint', 'iter', 'epoch', *_FACTS, *ratios, 'divergence']
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator='\n')
    writer.writeheader()
    for run in runs:
        for snapshot in run.snapshots:
            for layer in snapshot.layers:
                writer.writerow(_row(run, snapshot, layer))
    return text.getvalue()


def to_json(runs: Sequence[Run]) -> str:
    """Write the ratios of runs as JSON.

    Args:
        runs: one or more checkpoints or trainings.

    Returns:
        str: ``{'checkpoints': [...], 'changes': [...], 'across_runs':
        [...]}``. A checkpoint, or
        the last snapshot of a work directory, has its ``path``, its
        ``layers`` in network order, ``averages`` by part of the network, by
        residual stage and by receptive field, the layers whose hard choices
        differ between mean and variance (``split_choices``), the averages of
        its ``snapshots`` and ``notes``. A layer with ratio groups has the
        rows of each group in ``mean_groups`` and ``var_groups``, and their
        averages in ``mean`` and ``var`` like any other. ``changes`` compares
        each checkpoint with the first one, largest changes first.
        ``across_runs`` has the mean and the standard deviation of every
        layer's ratios and divergence over several runs of the same layers;
        it is empty for others. What is infinite or unknown is null.
    """
    content = {
        'checkpoints': [_run(run) for run in runs],
        'changes': [
            {'from': str(runs[0].path), 'to': str(run.path), 'layers': rows}
            for run in runs[1:]
            for rows in [_changes(runs[0], run)]
        ],
        'across_runs': [_across(layer) for layer in across(runs)],
    }
    text = json.dumps(
        _finite(content), indent=2, ensure_ascii=False, allow_nan=False
    )
    return text + '\n'


_FACTS = (
    'layer',
    'part',
    'type',
    'tied',
    'hard',
    'kernel',
    'shortcut',
    'receptive_field',
)


def _facts(layer: LayerRatios) -> dict[str, Any]:
    kernel = layer.kernel and 'x'.join(map(str, layer.kernel))
    values = (
        layer.name,
        layer.part,
        layer.type,
        layer.tied,
        layer.hard,
        kernel,
        layer.shortcut,
        layer.receptive_field,
    )
    return dict(zip(_FACTS, values))


def _row(run: Run, snapshot: Snapshot, layer: LayerRatios) -> dict[str, Any]:
    row = {
        'checkpoint': snapshot.path or run.path,
        'iter': snapshot.iteration,
        'epoch': snapshot.epoch,
        **_facts(layer),
        'divergence': divergence(layer),
    }
    for moment in MOMENTS:
        for stat, ratio in getattr(layer, moment).items():
            row[f'{moment}_{stat}'] = ratio
    return row


def _run(run: Run) -> dict[str, Any]:
    return {
        'path': str(run.path),
        'layers': [_layer(layer) for layer in run.layers],
        'averages': averages_by_part(run.layers),
        'averages_by_stage': _averages(by_stage(run.layers)),
        'averages_by_receptive_field': _averages(
            by_receptive_field(run.layers)
        ),
        'split_choices': split_choices(run.layers),
        'snapshots': _snapshots(run),
        'notes': run.notes,
    }


def _layer(layer: LayerRatios) -> dict[str, Any]:
    facts = _facts(layer)
    row = {
        'name': facts.pop('layer'),
        **facts,
        'stats': layer.stats,
        'mean': layer.mean,
        'var': layer.var,
        'choice': dict(zip(MOMENTS, choice(layer))),
        'divergence': divergence(layer),
    }
    if len(layer.mean_groups) > 1:
        row['mean_groups'] = layer.mean_groups
        row['var_groups'] = layer.var_groups
    return row


def _snapshots(run: Run) -> list[dict[str, Any]]:
    changed = changed_choices([snapshot.layers for snapshot in run.snapshots])
    return [
        {
            'path': snapshot.path and str(snapshot.path),
            'iter': snapshot.iteration,
            'epoch': snapshot.epoch,
            'averages': averages_by_part(snapshot.layers),
            'averages_by_receptive_field': _averages(
                by_receptive_field(snapshot.layers)
            ),
            'changed_choices': names,
        }
        for snapshot, names in zip(run.snapshots, [None, *changed])
    ]


def _averages(groups: Groups) -> dict[str, dict]:
    return {name: average(layers) for name, layers in groups.items()}


def _changes(first: Run, other: Run) -> list[dict[str, Any]]:
    return [
        {
            'layer': change.layer,
            'moment': change.moment,
            'moved': change.distance,
            'from': change.before,
            'to': change.after,
        }
        for change in changes(first.layers, other.layers)
    ]


def _across(found: LayerAcross) -> dict[str, Any]:
    return {
        'layer': found.layer.name,
        **{
            moment: {
                stat: asdict(value)
                for stat, value in getattr(found, moment).items()
            }
            for moment in MOMENTS
        },
        'divergence': asdict(found.divergence),
    }


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot represent with None, recursively."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    infinite = isinstance(value, float) and not math.isfinite(value)
    return None if infinite else value
