"""The ratio report as CSV, a row a layer, and as JSON, with everything."""

import csv
import io
import json
from collections.abc import Sequence

from .layers import CheckpointRatios, LayerRatios


def to_csv(reports: Sequence[CheckpointRatios]) -> str:
    """Write the ratios of checkpoints as CSV.

    Args:
        reports: one or more checkpoints.

    Returns:
        str: A header, then a line for each layer of each checkpoint. The
        columns ``mean_*`` and ``var_*`` hold the ratio of each statistic,
        averaged over the layer's ratio groups; blank where the layer does
        not mix it.
    """
    stats = dict.fromkeys(stat for r in reports for stat in r.stats)
    fields = ['checkpoint', 'layer', 'part', 'type', 'tied', 'hard']
    fields += [f'mean_{stat}' for stat in stats]
    fields += [f'var_{stat}' for stat in stats]
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator='\n')
    writer.writeheader()
    for ratios in reports:
        for layer in ratios.layers:
            row = {
                'checkpoint': ratios.path,
                'layer': layer.name,
                'part': layer.part,
                'type': layer.type,
                'tied': layer.tied,
                'hard': layer.hard,
            }
            row |= {f'mean_{k}': v for k, v in layer.mean.items()}
            row |= {f'var_{k}': v for k, v in layer.var.items()}
            writer.writerow(row)
    return text.getvalue()


def to_json(reports: Sequence[CheckpointRatios]) -> str:
    """Write the ratios of checkpoints as JSON.

    Args:
        reports: one or more checkpoints.

    Returns:
        str: ``{'checkpoints': [...]}``; each has its ``path``, its
        ``layers`` in network order, the ``averages`` by part of the network
        and ``notes``. A layer with ratio groups has the rows of each group
        in ``mean_groups`` and ``var_groups``, and their averages in ``mean``
        and ``var`` like any other.
    """
    content = {
        'checkpoints': [
            {
                'path': str(ratios.path),
                'layers': [_layer(layer) for layer in ratios.layers],
                'averages': ratios.averages(),
                'notes': ratios.notes,
            }
            for ratios in reports
        ]
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + '\n'


def _layer(layer: LayerRatios) -> dict:
    row = {
        'name': layer.name,
        'part': layer.part,
        'type': layer.type,
        'stats': layer.stats,
        'tied': layer.tied,
        'hard': layer.hard,
        'mean': layer.mean,
        'var': layer.var,
    }
    if len(layer.mean_groups) > 1:
        row['mean_groups'] = layer.mean_groups
        row['var_groups'] = layer.var_groups
    return row
