"""The ratio report as a table on the terminal."""

from collections.abc import Iterable
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .layers import CheckpointRatios
from .palette import COLORS


def ratio_table(ratios: CheckpointRatios) -> Table:
    """Tabulate the ratios of a checkpoint, a row a layer.

    Each part of the network starts with its averages; the largest ratio of
    a row is emphasized. A statistic that a layer does not mix is left blank.

    Args:
        ratios: the ratios of one checkpoint.

    Returns:
        Table: To be printed with rich.
    """
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column('layer', overflow='fold')
    table.add_column('type', no_wrap=True)
    for panel in ('mean', 'var'):
        for stat in ratios.stats:
            header = Text(f'{panel}\n{stat}', style=COLORS[stat])
            table.add_column(header, justify='right', no_wrap=True)
    averages = ratios.averages()
    for part, layers in groupby(ratios.layers, key=lambda item: item.part):
        average = averages[part]
        count = Text(f'{part}: average of {average["layers"]}')
        cells = _cells(average, ratios.stats)
        table.add_row(count, '', *cells, style='bold')
        for layer in layers:
            shown = {'mean': layer.mean, 'var': layer.var}
            name = Text(f'  {layer.name}')
            table.add_row(name, layer.type, *_cells(shown, ratios.stats))
        table.add_section()
    return table


def print_table(ratios: CheckpointRatios, console: Console) -> None:
    """Print the ratios of a checkpoint and its notes.

    Args:
        ratios: the ratios of one checkpoint.
        console: where to print them.
    """
    table = ratio_table(ratios)
    if not console.is_terminal:
        console.width = 1000  # a file has no width: fold nothing
    console.print(Text(str(ratios.path)), style='bold', soft_wrap=True)
    console.print(table)
    for note in ratios.notes:
        console.print(Text(f'Note: {note}'))
    console.print()


def _cells(panels: dict[str, dict], stats: Iterable[str]) -> list[Text]:
    cells = []
    for panel in ('mean', 'var'):
        shares = panels[panel]
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
