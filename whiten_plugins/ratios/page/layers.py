"""What the page shows of one layer when it is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...analysis.layer_names import common_name
from ..charts.drawing import Drawing
from ..charts.names import DIVERGENCE, capital, layer_facts, moment_names
from ..charts.spec import CurveChart, Figure, Panel
from ..layers import LayerRatios
from ..runs import Run
from ..seeds import Across, across
from ..summary import MOMENTS, divergence, evenly_spaced

MAX_TIMES = 200  # snapshots in a layer's curves; the files hold all
_DECIMALS = 4


def layer_axes(run: Run) -> Figure | None:
    """Return the empty axes for the curves of any layer of a run.

    None for a run of a single snapshot.
    """
    if len(run.snapshots) < 2:
        return None
    names = moment_names([run])
    panels = [
        Panel(f'{capital(names[moment])} ratios', 'ratio', [])
        for moment in MOMENTS
    ]
    panels.append(Panel(capital(DIVERGENCE), '', [], own_scale=True))
    times = _times(run)
    chart = CurveChart([panels], run.time_axis, x_range=(times[0], times[-1]))
    return Figure('layer', 'Ratios and divergence of a layer', '', chart)


def areas(drawing: Drawing) -> list[dict[str, Any]]:
    """List the areas of a drawing with their curves, for the script."""
    return [
        {
            'box': [area.left, area.top, area.width, area.height],
            'range': area.x_range,
            'x': list(area.x),
            'curves': [
                [stat, _rounded(values), _rounded(spread)]
                for stat, values, spread in area.curves
            ],
        }
        for area in drawing.areas
    ]


def layer_data(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Collect the numbers of every layer in every run, by common name."""
    spread = {common_name(a.layer.name): a for a in across(runs)}
    found: dict[str, dict[str, Any]] = {}
    for index, run in enumerate(runs):
        for layer in run.layers:
            key = common_name(layer.name)
            entry = found.setdefault(
                key,
                {
                    'name': layer.name,
                    'facts': layer_facts(layer),
                    'runs': [None] * len(runs),
                },
            )
            entry['runs'][index] = _numbers(layer)
        for key, curves in _curves(run).items():
            found[key]['runs'][index]['curves'] = curves
    for key, item in spread.items():
        found[key]['across'] = {
            **{m: _pairs(getattr(item, m)) for m in MOMENTS},
            'divergence': _pair(item.divergence),
        }
    return found


def run_data(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Collect what belongs to the runs, not to one of their layers."""
    return [
        {'stats': run.stats, 'times': _times(run), 'axis': run.time_axis}
        for run in runs
    ]


def _times(run: Run) -> list[int]:
    return evenly_spaced(run.times, MAX_TIMES)


def _numbers(layer: LayerRatios) -> dict[str, Any]:
    moments = {
        moment: dict(
            zip(layer.stats, _rounded(getattr(layer, moment).values()))
        )
        for moment in MOMENTS
    }
    return {**moments, 'divergence': _round(divergence(layer))}


def _curves(run: Run) -> dict[str, dict[str, Any]]:
    if len(run.snapshots) < 2:
        return {}
    shown = evenly_spaced(run.snapshots, MAX_TIMES)
    found = {}
    for series in zip(*(snapshot.layers for snapshot in shown)):
        moments = {
            moment: [
                _rounded(getattr(layer, moment)[stat] for layer in series)
                for stat in series[-1].stats
            ]
            for moment in MOMENTS
        }
        apart = _rounded(map(divergence, series))
        found[common_name(series[-1].name)] = {
            **moments,
            'divergence': apart,
        }
    return found


def _pairs(values: dict[str, Across]) -> dict[str, Any]:
    return {stat: _pair(value) for stat, value in values.items()}


def _pair(value: Across) -> list[float | None]:
    return [_round(value.mean), _round(value.spread)]


def _rounded(values: Any) -> list[float | None]:
    return [_round(value) for value in values]


def _round(value: float) -> float | None:
    """Round a number; what JSON cannot hold is None."""
    return round(value, _DECIMALS) if math.isfinite(value) else None
