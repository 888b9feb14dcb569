"""Fill the page's template with the runs and their figures."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from ...analysis.layer_names import common_name
from ...utils.page import base_style
from ..charts import Figure, interactive
from ..charts.names import letters, moment_names
from ..layers import LayerRatios
from ..palette import STYLES
from ..runs import Run
from ..summary import MOMENTS, average, changes, divergence, split_choices

MAX_CHANGES = 20  # rows of a table of changes
_PLOTLY_CONFIG = {'displayModeBar': False, 'responsive': True}


def render(runs: Sequence[Run], figures: Sequence[Figure]) -> str:
    """Write the page.

    Args:
        runs: the runs.
        figures: the figures of these runs.

    Returns:
        str: HTML that needs no other file; plotly.js is inside, once.
    """
    loader = PackageLoader(__package__, '')
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    stats = dict.fromkeys(stat for run in runs for stat in run.stats)
    plots = [_plot(figure) for figure in figures]
    return environment.get_template('template.html').render(
        style=base_style() + loader.get_source(environment, 'style.css')[0],
        script=loader.get_source(environment, 'page.js')[0],
        plotlyjs=get_plotlyjs(),
        runs=[_run(run, a) for run, a in zip(runs, letters(runs))],
        legend={stat: STYLES[stat] for stat in stats},
        moments=moment_names(runs),
        parts=next(p['parts'] for p in plots if p['name'] == 'ratios'),
        plots=plots,
        comparisons=_comparisons(runs),
        traced=any(
            layer.receptive_field for run in runs for layer in run.layers
        ),
    )


def _plot(figure: Figure) -> dict:
    drawn = interactive.draw(figure)
    return {
        'name': figure.name,
        'title': figure.title,
        'reading': figure.reading,
        'width': drawn.layout.meta['width'],
        'parts': list(drawn.layout.meta['parts']),
        'html': drawn.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f'plot-{figure.name}',
            config=_PLOTLY_CONFIG,
        ),
    }


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
