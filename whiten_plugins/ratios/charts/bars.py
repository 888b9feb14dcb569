"""Build the bar charts: averages, layers, divergence and hard ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...analysis.layer_names import common_name, locate
from ..layers import LayerRatios
from ..runs import Run
from ..summary import (
    MOMENTS,
    Groups,
    average,
    by_part,
    by_receptive_field,
    by_stage,
    changed_choices,
    choice,
    divergence,
    evenly_spaced,
)
from .layout import BarLayout, lay_out_bars
from .names import (
    DIVERGENCE,
    capital,
    field_title,
    layer_facts,
    letters,
    moment_names,
    run_titles,
    shares_text,
    time_title,
)
from .spec import Bar, BarChart, BarRow, Figure, axis_end, finite

MAX_HARD_ROWS = 5  # snapshots whose choices are shown
GROUP_PITCH, NUMBER_PITCH = 0.95, 0.4  # inches from bar to bar


def averages_figure(runs: Sequence[Run]) -> Figure:
    """Plot averages by part of the network, as SN Fig. 1(a) and 4."""
    chart = _grouped(runs, {'': _parts_and_all})
    assert chart is not None  # every run has the group 'All'
    return Figure(
        'averages',
        'What each part of the network prefers',
        'Each bar is the average ratio over the layers of a part; the '
        'segments of a bar add up to 1.',
        chart,
    )


def depth_figure(runs: Sequence[Run]) -> Figure | None:
    """Plot averages by residual stage and by receptive field, as SN Fig. 7.

    Return None if neither is known.
    """
    chart = _grouped(
        runs,
        {
            'Residual stage': by_stage,
            'Receptive field in pixels': _field_ranges,
        },
    )
    if chart is None:
        return None
    return Figure(
        'depth',
        'From shallow to deep layers',
        'Averages over the layers of a residual stage, and over layers that '
        'see equally much of the image: up to a range of pixels, or, after '
        'pooling, all of an image or RoI.',
        chart,
    )


def _parts_and_all(layers: list[LayerRatios]) -> Groups:
    groups = {capital(part): group for part, group in by_part(layers).items()}
    return {**groups, 'All': layers}


def _field_ranges(layers: list[LayerRatios]) -> Groups:
    groups = by_receptive_field(layers)
    return {field_title(name): group for name, group in groups.items()}


def _grouped(
    runs: Sequence[Run],
    groupings: dict[str, Callable[[list[LayerRatios]], Groups]],
) -> BarChart | None:
    """Build bars of the averages of groups, several runs side by side.

    Return None if there are no groups.
    """
    places, groups = [], []
    for heading, grouping in groupings.items():
        found = [grouping(run.layers) for run in runs]
        for name in dict.fromkeys(name for group in found for name in group):
            for letter, group in zip(letters(runs), found):
                places.append(
                    (heading, name, letter) if letter else (heading, '', name)
                )
                groups.append((f'{letter} {name}'.strip(), group.get(name)))
    if not places:
        return None
    names = moment_names(runs)
    rows = []
    for moment in MOMENTS:
        bars = [
            _average_bar(title, layers, moment, names) if layers else None
            for title, layers in groups
        ]
        rows.append(BarRow(f'{names[moment]} ratios', bars))
    layout = lay_out_bars(places, GROUP_PITCH)
    return BarChart(layout, rows, layout.pitch > NUMBER_PITCH)


def _average_bar(
    title: str, layers: list[LayerRatios], moment: str, names: dict[str, str]
) -> Bar:
    found = average(layers)
    count = f'average of {len(layers)} layer{"s" * (len(layers) > 1)}'
    shares = [f'{names[m]}: {shares_text(found[m])}' for m in MOMENTS]
    return Bar(found[moment], [title, count, *shares])


def layers_figure(runs: Sequence[Run]) -> Figure:
    """Plot one bar per layer, as SN Fig. 5, 11 and 12."""
    layout, aligned = _align(runs)
    names = moment_names(runs)
    rows = []
    for title, layers in zip(run_titles(runs), aligned):
        for moment in MOMENTS:
            bars = [
                _layer_bar(layer, getattr(layer, moment), names)
                if layer
                else None
                for layer in layers
            ]
            shown = title if moment == 'mean' and len(runs) > 1 else ''
            rows.append(BarRow(f'{names[moment]} ratios', bars, shown))
    return Figure(
        'ratios',
        'What every layer chose',
        'One bar a layer, in the order in which an image passes through '
        'them. Slashes: after a 3×3 convolution. ■: in the shortcut of a '
        'residual block.',
        BarChart(layout, rows),
    )


def divergence_figure(runs: Sequence[Run]) -> Figure:
    """Plot the divergence of mean and variance ratios, as SN Fig. 7(c)."""
    layout, aligned = _align(runs)
    names = moment_names(runs)
    bars = [
        [_divergence_bar(layer, names) if layer else None for layer in layers]
        for layers in aligned
    ]
    top = axis_end(
        bar.shares[DIVERGENCE] for row in bars for bar in row if bar
    )
    rows = [
        BarRow(DIVERGENCE, row, title if len(runs) > 1 else '', top)
        for title, row in zip(run_titles(runs), bars)
    ]
    return Figure(
        'divergence',
        f'Where mean and {names["var"]} disagree',
        'The symmetric Kullback-Leibler divergence between the two sets of '
        'ratios of a layer: 0 where they are equal, above 1 where they '
        'clearly prefer different statistics.',
        BarChart(layout, rows),
    )


def hard_figure(run: Run, letter: str) -> Figure:
    """Plot the choices in some snapshots and their changes, as SN Fig. 8."""
    shown = evenly_spaced(run.snapshots, MAX_HARD_ROWS)
    changed = changed_choices([snapshot.layers for snapshot in shown])
    layout, _ = _align([run])
    names = moment_names([run])
    rows = []
    for index, snapshot in enumerate(shown):
        title = time_title(run, snapshot)
        if index:
            title += f' · {len(changed[index - 1])} layers changed'
        for row, moment in enumerate(MOMENTS):
            bars = [
                _layer_bar(layer, _one_hot(layer, row), names)
                for layer in snapshot.layers
            ]
            title = '' if row or len(shown) == 1 else title
            rows.append(BarRow(names[moment], bars, title, flat=True))
    return Figure(
        f'hard_{letter}' if letter else 'hard',
        f'If each layer had to choose one {letter}'.strip(),
        'Hard ratios: the statistic with the largest ratio takes all. A '
        'layer counts as changed when its choice for the mean or the '
        f'{names["var"]} is not that of the row above.',
        BarChart(layout, rows),
    )


def _align(
    runs: Sequence[Run],
) -> tuple[BarLayout, list[list[LayerRatios | None]]]:
    """Lay out the layers of all runs together.

    Return the common layout and, for each run, its layer at each place. A
    layer that a run lacks keeps its place there, as None.
    """
    order: list[str] = []
    titles: dict[str, str] = {}
    for run in runs:
        position = 0
        for layer in run.layers:
            key = common_name(layer.name)
            if key not in titles:
                titles[key] = layer.name
                order.insert(position, key)
            position = order.index(key) + 1
    places = [locate(titles[key]) for key in order]
    layout = lay_out_bars(
        [(capital(p), stage, name) for p, stage, name in places]
    )
    aligned = []
    for run in runs:
        layers = {common_name(layer.name): layer for layer in run.layers}
        aligned.append([layers.get(key) for key in order])
    return layout, aligned


def _layer_bar(
    layer: LayerRatios, shares: dict[str, float], names: dict[str, str]
) -> Bar:
    lines = [f'{names[m]}: {shares_text(getattr(layer, m))}' for m in MOMENTS]
    return Bar(
        shares,
        [
            layer.name,
            layer_facts(layer),
            *lines,
            f'divergence: {divergence(layer):.3f}',
        ],
        layer=common_name(layer.name),
        after_3x3=layer.kernel == (3, 3),
        shortcut=layer.shortcut,
    )


def _divergence_bar(layer: LayerRatios, names: dict[str, str]) -> Bar:
    return _layer_bar(layer, {DIVERGENCE: finite(divergence(layer))}, names)


def _one_hot(layer: LayerRatios, moment: int) -> dict[str, float]:
    chosen = choice(layer)[moment]
    return {stat: float(stat == chosen) for stat in layer.stats}
