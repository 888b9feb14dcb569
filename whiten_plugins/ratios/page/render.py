"""Fill the page's template with the runs and their figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from ...analysis.layer_names import common_name
from ...utils.page import fill_page
from ..charts import BarChart, Figure
from ..charts.drawing import draw, to_svg
from ..charts.drawing.marks import Group
from ..charts.drawing.svg import SLASHES, style_sheet
from ..charts.names import letters, moment_names
from ..layers import LayerRatios
from ..palette import STYLES
from ..runs import Run
from ..summary import MOMENTS, average, changes, divergence, split_choices
from .layers import areas, layer_axes, layer_data, run_data

MAX_CHANGES = 20  # rows of a table of changes
_NEUTRAL = {'grid': 'line'}  # names of colours that the page has anyway


def render(runs: Sequence[Run], figures: Sequence[Figure]) -> str:
    """Write the page.

    Args:
        runs: the runs.
        figures: the figures of these runs.

    Returns:
        str: HTML that needs no other file.
    """
    stats = dict.fromkeys(stat for run in runs for stat in run.stats)
    notes = _Notes(runs)
    parts = _parts(figures)
    plots = [_plot(figure, parts, notes) for figure in figures]
    axes = [_axes(run, letter) for run, letter in zip(runs, letters(runs))]
    return fill_page(
        __package__,
        sheet=Markup(style_sheet(_variable)),
        light=Markup(_palette(dark=False)),
        night=Markup(_palette(dark=True)),
        slashes=Markup(SLASHES),
        runs=[_run(run, a) for run, a in zip(runs, letters(runs))],
        legend={stat: STYLES[stat] for stat in stats},
        moments=moment_names(runs),
        parts=parts if len(parts) > 1 else [],
        plots=plots,
        axes=[item for item in axes if item],
        comparisons=_comparisons(runs),
        traced=any(
            layer.receptive_field for run in runs for layer in run.layers
        ),
        data={
            'notes': notes.texts,
            'plots': {plot['name']: plot['areas'] for plot in plots},
            'letters': letters(runs),
            'moments': moment_names(runs),
            'runs': run_data(runs),
            'axes': [item and item['areas'] for item in axes],
            'layers': list(layer_data(runs).values()),
        },
    )


class _Notes:
    """The texts about bars and points, each written once.

    Called with a group, it returns the attributes by which the script finds
    text and layer again.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self._layers = {key: i for i, key in enumerate(layer_data(runs))}

    def __call__(self, group: Group) -> str:
        number = self._numbers.setdefault(
            tuple(group.hover), len(self._numbers)
        )
        found = f'data-note="{number}"'
        if group.layer:
            found += f' data-layer="{self._layers[group.layer]}"'
        return found

    @property
    def texts(self) -> list[tuple[str, ...]]:
        return list(self._numbers)


def _variable(name: str) -> str:
    return f'var(--{_NEUTRAL.get(name, name)})'


def _palette(dark: bool) -> str:
    """Give the colours of the statistics their values."""
    rules = ''.join(
        f'--{stat}:{style.dark if dark else style.color};'
        f'--on-{stat}:{"black" if dark else style.ink};'
        for stat, style in STYLES.items()
    )
    return f':root{{{rules}}}'


def _parts(figures: Sequence[Figure]) -> list[str]:
    """Name the parts of the network that bars of layers stand in."""
    titles = (
        part.title
        for figure in figures
        if _has_layers(figure) and isinstance(figure.chart, BarChart)
        for part in figure.chart.layout.parts
    )
    return list(dict.fromkeys(titles))


def _has_layers(figure: Figure) -> bool:
    return isinstance(figure.chart, BarChart) and any(
        bar and bar.layer for row in figure.chart.rows for bar in row.bars
    )


def _plot(figure: Figure, parts: Sequence[str], notes: _Notes) -> dict:
    drawn = draw(figure)
    views = {'': to_svg(drawn, figure.title, notes)}
    if len(parts) > 1 and isinstance(figure.chart, BarChart):
        for part in parts if _has_layers(figure) else ():
            if any(place[0] == part for place in figure.chart.layout.places):
                alone = replace(figure, chart=figure.chart.part(part))
                views[part] = to_svg(draw(alone), figure.title, notes)
    return {
        'name': figure.name,
        'title': figure.title,
        'reading': figure.reading,
        'views': {part: Markup(svg) for part, svg in views.items()},
        'areas': areas(drawn),
    }


def _axes(run: Run, letter: str) -> dict | None:
    figure = layer_axes(run)
    if figure is None:
        return None
    drawn = draw(figure)
    svg = Markup(to_svg(drawn, figure.title))
    return {'letter': letter, 'svg': svg, 'areas': areas(drawn)}


def _run(run: Run, letter: str) -> dict:
    found = average(run.layers)
    names = moment_names([run])
    split = split_choices(run.layers)
    facts = [
        (f'{len(run.layers)}', f'{" and ".join(_kinds(run))} layers'),
        *(
            (f'{share:.2f}', f'{stat.upper()}, the largest {names[m]} ratio')
            for m in MOMENTS
            for stat, share in [_largest(found[m])]
        ),
        (
            f'{len(split)} of {len(run.layers)}',
            f'layers prefer different statistics for mean and {names["var"]}',
        ),
    ]
    times = run.times
    period = ''
    if len(times) > 1:
        period = f'{len(times)} snapshots, {run.time_axis} '
        period += f'{times[0]} to {times[-1]}'
    return {
        'letter': letter,
        'path': str(run.path),
        'period': period,
        'facts': facts,
        'notes': run.notes,
        'layers': [_layer(layer) for layer in run.layers],
        'stats': run.stats,
    }


def _kinds(run: Run) -> list[str]:
    return sorted({layer.type for layer in run.layers})


def _largest(shares: dict[str, float]) -> tuple[str, float]:
    return max(shares.items(), key=lambda item: item[1])


def _layer(layer: LayerRatios) -> dict:
    return {
        'name': layer.name,
        'part': layer.part,
        'kernel': '{}×{}'.format(*layer.kernel) if layer.kernel else '',
        'field': layer.receptive_field or '',
        'shares': {m: getattr(layer, m) for m in MOMENTS},
        'divergence': divergence(layer),
    }


def _comparisons(runs: Sequence[Run]) -> list[dict]:
    """List the largest changes of each run relative to the first one."""
    first, *others = runs
    names = moment_names(runs)
    known = {common_name(layer.name) for layer in first.layers}
    comparisons = []
    for letter, run in zip(letters(runs)[1:], others):
        found = changes(first.layers, run.layers)
        common = known & {common_name(layer.name) for layer in run.layers}
        comparisons.append(
            {
                'letter': letter,
                'common': len(common),
                'only_first': len(known) - len(common),
                'only_other': len(run.layers) - len(common),
                'rows': [
                    {
                        'layer': change.layer,
                        'moment': names[change.moment],
                        'stat': change.stat,
                        'before': change.before.get(change.stat, 0.0),
                        'after': change.after.get(change.stat, 0.0),
                        'difference': change.difference(change.stat),
                        'distance': change.distance,
                    }
                    for change in found[:MAX_CHANGES]
                ],
            }
        )
    return comparisons
