"""The norms of a config's model on the terminal."""

from collections import Counter

from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config.building import build_model
from .norm_warnings import pooling_warnings
from .norms import NormInfo, list_norms

_COLUMNS = (
    'name',
    'type',
    'channels',
    'groups',
    'statistics',
    'training',
    'put there by',
)


def print_norms(cfg: Config, console: Console) -> list[str]:
    """Print every norm of a config's model and a summary.

    Args:
        cfg: the whole config.
        console: where to print them.

    Returns:
        list[str]: Warnings, a line each.

    Raises:
        ConfigError: if the model cannot be built.
    """
    model = build_model(cfg)
    rows = list_norms(model, cfg)
    if not console.is_terminal:
        console.width = 1000  # a file has no width: fold nothing
    console.print(norm_table(rows))
    console.print()
    console.print(summary_table(rows))
    return pooling_warnings(model, cfg)


def norm_table(rows: list[NormInfo]) -> Table:
    """Tabulate norms, a row each; ``groups`` is number × size."""
    table = _table(*_COLUMNS)
    for row in rows:
        groups = '{} × {}'.format(*row.groups) if row.groups else ''
        _add(
            table,
            row.name,
            row.type,
            row.channels,
            groups,
            ', '.join(row.statistics),
            row.state,
            row.source,
        )
    return table


def summary_table(rows: list[NormInfo]) -> Table:
    """Count norms of the same type, state and source."""
    table = _table('norms', 'type', 'training', 'put there by')
    counts = Counter((row.type, row.state, row.source) for row in rows)
    for kind, count in counts.items():
        _add(table, count, *kind)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        number = column in ('channels', 'groups', 'norms')
        table.add_column(
            column, justify='right' if number else 'left', overflow='fold'
        )
    return table


def _add(table: Table, *cells: object) -> None:
    # Names may hold brackets, which rich would take for markup.
    table.add_row(*(Text(str(cell)) for cell in cells))
