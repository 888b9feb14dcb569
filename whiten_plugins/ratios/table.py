"""The ratio report as tables on the terminal."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..utils.terminal import add_row, fold_nothing_in_files, make_table
from .charts.names import letters, moment_names, time_title
from .palette import COLORS
from .runs import Run
from .summary import MOMENTS, averages_by_part, changed_choices, changes

MAX_CHANGES = 10  # rows of the table of changes


def ratio_table(run: Run) -> Table:
    """Tabulate the ratios of a run's last snapshot, a row a layer.

    Each part of the network starts with its averages; the largest ratio of
    a row is emphasized. A statistic that a layer does not mix is left blank.
    """
    ratios = [
        Text(f'{moment}\n{stat}', style=COLORS[stat])
        for moment in MOMENTS
        for stat in run.stats
    ]
    table = make_table(
        'layer',
        'type',
        *ratios,
        numbers=[header.plain for header in ratios],
        whole=('type',),
        gap=1,
    )
    averages = averages_by_part(run.layers)
    for part, layers in groupby(run.layers, key=lambda item: item.part):
        average = averages[part]
        name = f'{part}: average of {average["layers"]}'
        add_row(table, name, '', *_cells(average, run.stats), style='bold')
        for layer in layers:
            shown = {'mean': layer.mean, 'var': layer.var}
            cells = _cells(shown, run.stats)
            add_row(table, f'  {layer.name}', layer.type, *cells)
        table.add_section()
    return table


def change_table(first: Run, other: Run, titles: tuple[str, str]) -> Table:
    """Tabulate the layers whose ratios differ most between two runs."""
    names = moment_names([first, other])
    numbers = (*titles, 'difference', 'moved')
    words = ('ratios', 'statistic')
    table = make_table(
        'layer', *words, *numbers, numbers=numbers, whole=words, gap=1
    )
    for change in changes(first.layers, other.layers)[:MAX_CHANGES]:
        stat = change.stat
        values = (change.before.get(stat, 0.0), change.after.get(stat, 0.0))
        add_row(
            table,
            change.layer,
            names[change.moment],
            Text(stat, style=COLORS[stat]),
            *(f'{value:.3f}' for value in values),
            f'{change.difference(stat):+.3f}',
            f'{change.distance:.3f}',
        )
    return table


def print_run(run: Run, console: Console) -> None:
    """Print the ratios of a run, its choices over time and its notes."""
    fold_nothing_in_files(console)
    console.print(Text(str(run.path)), style='bold', soft_wrap=True)
    console.print(ratio_table(run))
    if len(run.snapshots) > 1:
        middle = run.snapshots[(len(run.snapshots) - 1) // 2]
        (changed,) = changed_choices([middle.layers, run.layers])
        console.print(
            Text(
                f'{len(run.snapshots)} snapshots, {run.time_axis} '
                f'{run.times[0]} to {run.times[-1]}; {len(changed)} of '
                f'{len(run.layers)} layers changed their choice since '
                f'{time_title(run, middle)}.'
            )
        )
    for note in run.notes:
        console.print(Text(f'Note: {note}'))
    console.print()


def print_changes(runs: Sequence[Run], console: Console) -> None:
    """Print how each run differs from the first one."""
    fold_nothing_in_files(console)
    first, *others = runs
    start, *ends = letters(runs)
    for end, other in zip(ends, others):
        title = f'{start} {first.path} → {end} {other.path}: largest changes'
        console.print(Text(title), style='bold', soft_wrap=True)
        console.print(change_table(first, other, (start, end)))
        console.print()


def _cells(panels: dict[str, dict], stats: Iterable[str]) -> list[Text]:
    cells = []
    for moment in MOMENTS:
        shares = panels[moment]
        largest = max(shares.values())
        for stat in stats:
            share = shares.get(stat)
            chosen = share == largest
            cells.append(
                Text(
                    '' if share is None else f'{share:.3f}',
                    style=f'bold {COLORS[stat]}' if chosen else '',
                )
            )
    return cells
