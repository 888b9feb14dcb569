"""The figures of several runs of one network: mean and spread over them."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis.layer_names import common_name
from ..layers import LayerRatios
from ..runs import Run
from ..seeds import Across, LayerAcross, across, have_the_same_times
from ..summary import MOMENTS, average, by_part, evenly_spaced
from .curves import MAX_TIMES
from .names import DIVERGENCE, capital, moment_names
from .spec import Curve, CurveChart, Figure, Panel, axis_end


def seeds_figures(runs: Sequence[Run]) -> list[Figure]:
    """Plot the mean over runs, with bars or bands of a standard deviation.

    Runs of different networks yield no figures, and runs without snapshots
    at the same times no figure of the training.
    """
    layers = across(runs)
    if not layers:
        return []
    figures = [_layers_figure(runs, layers)]
    if have_the_same_times(runs):
        figures.append(_dynamics_figure(runs))
    return figures


def _layers_figure(
    runs: Sequence[Run], layers: Sequence[LayerAcross]
) -> Figure:
    names = moment_names(runs)
    stats = runs[0].stats
    rows = [
        [
            Panel(
                '',
                f'{names[moment]} ratios',
                [_points(stat, moment, layers) for stat in stats],
            )
        ]
        for moment in MOMENTS
    ]
    return Figure(
        'seeds_layers',
        f'Mean and spread over the {len(runs)} runs',
        'One point a layer and statistic, in the order in which an image '
        'passes through the layers: the mean over the runs, with a bar of '
        'one standard deviation to either side.',
        CurveChart(rows, 'layer', joined=False),
    )


def _points(stat: str, moment: str, layers: Sequence[LayerAcross]) -> Curve:
    mixed = [
        (place, item.layer.name, getattr(item, moment)[stat])
        for place, item in enumerate(layers, start=1)
        if stat in item.layer.stats
    ]
    return Curve(
        stat,
        [place for place, _, _ in mixed],
        [found.mean for _, _, found in mixed],
        hover=[name for _, name, _ in mixed],
        layers=[common_name(name) for _, name, _ in mixed],
        spread=[found.spread for _, _, found in mixed],
    )


def _dynamics_figure(runs: Sequence[Run]) -> Figure:
    names = moment_names(runs)
    first = runs[0]
    groups = {**by_part(first.layers), 'all': first.layers}
    rows: list[list[Panel]] = [[], [], []]
    for group, layers in groups.items():
        series = _averages(runs, {common_name(i.name) for i in layers})
        times = evenly_spaced(first.times, MAX_TIMES)
        for row, moment in zip(rows, MOMENTS):
            curves = [
                _band(
                    stat,
                    times,
                    [[a[moment][stat] for a in at] for at in series],
                )
                for stat in series[0][0][moment]
            ]
            title = capital(group) if moment == 'mean' else ''
            row.append(Panel(title, f'{names[moment]} ratios', curves))
        values = [[a[DIVERGENCE] for a in at] for at in series]
        band = _band(DIVERGENCE, times, values)
        rows[2].append(Panel('', DIVERGENCE, [band]))
    rows[2] = _with_common_top(rows[2])
    return Figure(
        'seeds_dynamics',
        f'The training, over the {len(runs)} runs',
        'Average ratios of the layers of a part at each snapshot, and the '
        f'average divergence between mean and {names["var"]}: the mean over '
        'the runs, in a band of one standard deviation to either side.',
        CurveChart(rows, first.time_axis),
    )


def _averages(runs: Sequence[Run], inside: set[str]) -> list[list[dict]]:
    """Average the layers of a group, for every time the value of each run."""
    return [
        [average(_members(run, index, inside)) for run in runs]
        for index in evenly_spaced(range(len(runs[0].times)), MAX_TIMES)
    ]


def _members(run: Run, index: int, inside: set[str]) -> list[LayerRatios]:
    layers = run.snapshots[index].layers
    return [layer for layer in layers if common_name(layer.name) in inside]


def _band(
    stat: str, times: Sequence[int], values: Sequence[Sequence[float]]
) -> Curve:
    found = [Across.of(at) for at in values]
    return Curve(
        stat,
        times,
        [item.mean for item in found],
        spread=[item.spread for item in found],
    )


def _with_common_top(panels: list[Panel]) -> list[Panel]:
    curves = [panel.curves[0] for panel in panels]
    top = axis_end(
        mean + spread
        for curve in curves
        for mean, spread in zip(curve.y, curve.spread)
    )
    return [Panel(p.title, p.label, p.curves, top) for p in panels]
