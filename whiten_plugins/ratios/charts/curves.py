"""The figures that are made of curves: receptive fields and dynamics."""

from __future__ import annotations

from collections.abc import Sequence

from ...analysis.layer_names import common_name
from ..layers import LayerRatios
from ..runs import Run
from ..summary import (
    MOMENTS,
    average,
    by_part,
    by_receptive_field,
    evenly_spaced,
)
from .names import DIVERGENCE, capital, field_title, moment_names, run_titles
from .spec import Curve, CurveChart, Figure, Panel, axis_end, finite

MAX_TIMES = 200  # snapshots in a curve; the files hold all


def receptive_field_figure(runs: Sequence[Run]) -> Figure | None:
    """Plot every layer over its receptive field, one row per run.

    Return None if no layer's receptive field is known.
    """
    names = moment_names(runs)
    rows = []
    for title, run in zip(run_titles(runs), runs):
        places = [
            (layer.receptive_field, layer)
            for layer in run.layers
            if isinstance(layer.receptive_field, int)
        ]
        if places:
            panels = [
                Panel(
                    f'{capital(names[moment])} ratios',
                    title if len(runs) > 1 else 'ratio',
                    _field_curves(places, moment, run.stats),
                )
                for moment in MOMENTS
            ]
            rows.append(panels)
    if not rows:
        return None
    return Figure(
        'receptive_field',
        'How far each layer sees',
        'One point a layer and statistic, over the pixels of the image that '
        'the layer sees through the convolutions and poolings before it.',
        CurveChart(rows, 'receptive field in pixels', joined=False),
    )


def dynamics_figures(run: Run, letter: str) -> list[Figure]:
    """Plot the averages over the snapshots of a run (SN Fig. 7, 10, 13).

    The averages are those of parts of the network and of ranges of receptive
    fields. A single snapshot yields no figures.
    """
    if len(run.snapshots) == 1:
        return []
    figures = []
    for key, title, grouping in (
        ('parts', 'by part of the network', by_part),
        ('fields', 'by receptive field', by_receptive_field),
    ):
        groups = grouping(run.layers)
        if not groups:
            continue
        members = {
            name: {layer.name for layer in layers}
            for name, layers in {**groups, 'all': run.layers}.items()
        }
        figures.append(
            Figure(
                '_'.join(filter(None, ('dynamics', key, letter))),
                f'The training {title} {letter}'.rstrip(),
                'Average ratios of the layers of a group at each snapshot, '
                'and below them the average divergence between mean and '
                f'{moment_names([run])["var"]}.',
                CurveChart(_dynamics(run, members), run.time_axis),
            )
        )
    return figures


def _field_curves(
    places: list[tuple[int, LayerRatios]], moment: str, stats: Sequence[str]
) -> list[Curve]:
    curves = []
    for stat in stats:
        mixed = [(x, layer) for x, layer in places if stat in layer.stats]
        curves.append(
            Curve(
                stat,
                [x for x, _ in mixed],
                [getattr(layer, moment)[stat] for _, layer in mixed],
                hover=[layer.name for _, layer in mixed],
                layers=[common_name(layer.name) for _, layer in mixed],
            )
        )
    return curves


def _dynamics(run: Run, members: dict[str, set[str]]) -> list[list[Panel]]:
    names = moment_names([run])
    rows: list[list[Panel]] = [[], []]
    divergences: list[Curve] = []
    snapshots = evenly_spaced(run.snapshots, MAX_TIMES)
    times = [getattr(snapshot, run.time_axis) for snapshot in snapshots]
    for group, inside in members.items():
        series = [
            average([i for i in snap.layers if i.name in inside])
            for snap in snapshots
        ]
        for row, moment in zip(rows, MOMENTS):
            curves = [
                Curve(stat, times, [at[moment][stat] for at in series])
                for stat in series[-1][moment]
            ]
            title = capital(field_title(group)) if moment == 'mean' else ''
            row.append(Panel(title, f'{names[moment]} ratios', curves))
        values = [finite(at[DIVERGENCE]) for at in series]
        divergences.append(Curve(DIVERGENCE, times, values))
    top = axis_end(value for curve in divergences for value in curve.y)
    rows.append([Panel('', DIVERGENCE, [c], top) for c in divergences])
    return rows
