"""What a conversion did, as JSON and on the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...ratios.palette import COLORS
from ...ratios.summary import MOMENTS, average, by_stage
from ..layer_ratios import LayerRatios
from .backbone import Fitted
from .norms import CARRIED, CONVERTED, NormChange


@dataclass(frozen=True)
class Report:
    """One conversion.

    Attributes:
        source: the checkpoint as the user named it.
        layout: its layout.
        architecture: its network, in words.
        config: the config's path; None without one.
        destination: the file written.
        to: the layout written.
        init_ratios: where ratios start that the source does not have.
        fitted: layers and keys by what happened to them.
        learned: the source's ratios.
        notes: what a user has to know, in sentences.
    """

    source: str
    layout: str
    architecture: str
    config: str | None
    destination: str
    to: str
    init_ratios: str
    fitted: Fitted
    learned: list[LayerRatios]
    notes: list[str]

    def as_dict(self) -> dict:
        """Everything, as JSON has it and ``meta`` of the checkpoint."""
        fitted = self.fitted
        converted = [n for n in fitted.norms if n.action == CONVERTED]
        carried = [n.name for n in fitted.norms if n.action == CARRIED]
        return {
            'source': self.source,
            'layout': self.layout,
            'architecture': self.architecture,
            'config': self.config,
            'destination': self.destination,
            'to': self.to,
            'init_ratios': self.init_ratios,
            'layers': {
                CARRIED: fitted.layers + carried,
                CONVERTED: {n.name: _change(n) for n in converted},
                'initialized': fitted.started,
            },
            'added': fitted.added,
            'dropped': fitted.dropped,
            'ratios': {
                'layers': {r.name: _ratios(r) for r in self.learned},
                'averages': average_ratios(self.learned),
            },
            'notes': self.notes,
        }


def average_ratios(learned: list[LayerRatios]) -> dict[str, dict]:
    """Average ratios over the layers of each stage, and over 'all'.

    Args:
        learned: ratios in network order.

    Returns:
        dict[str, dict]: By stage ('stem', 'layer1', …), then 'all', the
        number of 'layers' and the averages 'mean' and 'var' by statistic;
        empty without ratios.
    """
    groups = {**by_stage(learned), 'all': learned} if learned else {}
    averages = {stage: average(layers) for stage, layers in groups.items()}
    return {
        stage: {key: found[key] for key in ('layers', *MOMENTS)}
        for stage, found in averages.items()
    }


def print_report(report: Report, console: Console) -> None:
    """Print a conversion.

    Args:
        report: what to print.
        console: where.
    """
    if not console.is_terminal:
        console.width = 1000  # a file has no width: fold nothing
    facts = {
        'source': f'{report.source}: {report.architecture}, {report.layout}',
        'config': report.config,
        'written': f'{report.destination}: {report.to}',
        'dropped': ', '.join(report.fitted.dropped) or None,
    }
    table = _table()
    for name, fact in facts.items():
        if fact is not None:
            table.add_row(Text(name, style='bold'), Text(fact))
    console.print(table)
    console.print()
    console.print(_layers_table(report.fitted))
    if report.learned:
        console.print()
        console.print(_ratios_table(report.learned))
    for note in report.notes:
        console.print(Text(f'\nNote: {note}'))


def _change(change: NormChange) -> dict:
    return {
        'from': change.source,
        'to': change.target,
        'carried': change.carried,
        'started': change.started,
        'dropped': change.dropped,
    }


def _ratios(ratios: LayerRatios) -> dict:
    return {
        'type': ratios.type,
        'stats': list(ratios.stats),
        'mean': ratios.mean,
        'var': ratios.var,
    }


def _layers_table(fitted: Fitted) -> Table:
    table = _table(
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
        table.add_row(*_texts(str(len(names)), *row, which))
    return table


def _starts(started: dict[str, str]) -> str:
    """Tensors by how they start: 'running_cov from the variances'."""
    return ', '.join(f'{tensor} {how}' for tensor, how in started.items())


def _ratios_table(learned: list[LayerRatios]) -> Table:
    stats = tuple(dict.fromkeys(s for layer in learned for s in layer.stats))
    table = _table('learned ratios', '')
    for moment in MOMENTS:
        for stat in stats:
            header = Text(f'{moment}\n{stat}', style=COLORS[stat])
            table.add_column(header, justify='right', no_wrap=True)
    averages = average_ratios(learned)
    for stage, layers in by_stage(learned).items():
        average = averages[stage]
        name = f'{stage}: average of {average["layers"]}'
        table.add_row(name, '', *_shares(average, stats), style='bold')
        for layer in layers:
            shares = {'mean': layer.mean, 'var': layer.var}
            name = Text(f'  {layer.name}')
            table.add_row(name, layer.type, *_shares(shares, stats))
    total = averages['all']
    name = f'all: average of {total["layers"]}'
    table.add_row(name, '', *_shares(total, stats), style='bold')
    return table


def _shares(moments: dict, stats: tuple[str, ...]) -> list[str]:
    found = [moments[moment].get(s) for moment in MOMENTS for s in stats]
    return ['' if share is None else f'{share:.3f}' for share in found]


def _table(*columns: str) -> Table:
    table = Table(
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        show_header=bool(columns),
    )
    for column in columns:
        table.add_column(column, overflow='fold')
    return table


def _texts(*cells: str) -> list[Text]:
    # Names may hold brackets, which rich would take for markup.
    return [Text(cell) for cell in cells]
