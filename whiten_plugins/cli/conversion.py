"""A conversion on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..checkpoints.averages import MOMENTS, by_stage
from ..checkpoints.conversion.backbone import Fitted
from ..checkpoints.conversion.norms import CARRIED, CONVERTED
from ..checkpoints.conversion.report import Report, averages_by_stage
from ..checkpoints.norm_layers import NormLayer
from ..ratios.palette import COLORS
from ..utils.terminal import add_row, fold_nothing_in_files, make_table


def print_report(report: Report, console: Console) -> None:
    """Print a conversion.

    Args:
        report: what to print.
        console: where.
    """
    fold_nothing_in_files(console)
    facts = {
        'source': f'{report.source}: {report.architecture}, {report.layout}',
        'config': report.config,
        'written': f'{report.destination}: {report.to}',
        'dropped': ', '.join(report.fitted.dropped) or None,
    }
    table = make_table()
    for name, fact in facts.items():
        if fact is not None:
            add_row(table, Text(name, style='bold'), fact)
    console.print(table)
    console.print()
    console.print(_layers_table(report.fitted))
    if report.learned:
        console.print()
        console.print(_ratios_table(report.learned))
    for note in report.notes:
        console.print(Text(f'\nNote: {note}'))


def _layers_table(fitted: Fitted) -> Table:
    table = make_table(
        'layers', '', 'from', 'to', 'starts otherwise', 'dropped', 'which'
    )
    others = (CARRIED, 'no norm', 'no norm', _starts(fitted.started), '')
    groups = {others: fitted.layers}
    for norm in fitted.norms:
        starts, dropped = _starts(norm.started), ', '.join(norm.dropped)
        row = (norm.action, norm.source, norm.target, starts, dropped)
        groups.setdefault(row, []).append(norm.name)
    for row, names in groups.items():
        which = ', '.join(names) if row[0] == CONVERTED else ''
        add_row(table, len(names), *row, which)
    return table


def _starts(started: dict[str, str]) -> str:
    """List tensors and how they start: 'running_cov from the variances'."""
    return ', '.join(f'{tensor} {how}' for tensor, how in started.items())


def _ratios_table(learned: list[NormLayer]) -> Table:
    stats = tuple(dict.fromkeys(s for layer in learned for s in layer.stats))
    headers = [
        Text(f'{moment}\n{stat}', style=COLORS[stat])
        for moment in MOMENTS
        for stat in stats
    ]
    table = make_table(
        'learned ratios', '', *headers, numbers={h.plain for h in headers}
    )
    averages = averages_by_stage(learned)
    for stage, layers in by_stage(learned).items():
        average = averages[stage]
        name = f'{stage}: average of {average["layers"]}'
        add_row(table, name, '', *_shares(average, stats), style='bold')
        for layer in layers:
            shares = {'mean': layer.mean, 'var': layer.var}
            shown = _shares(shares, stats)
            add_row(table, f'  {layer.name}', layer.type, *shown)
    total = averages['all']
    name = f'all: average of {total["layers"]}'
    add_row(table, name, '', *_shares(total, stats), style='bold')
    return table


def _shares(moments: dict, stats: tuple[str, ...]) -> list[str]:
    found = [moments[moment].get(s) for moment in MOMENTS for s in stats]
    return ['' if share is None else f'{share:.3f}' for share in found]
