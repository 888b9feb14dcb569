"""The norms of a config's model on the terminal."""

from collections import Counter

from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from ..config.building import build_model
from ..utils.terminal import add_row, fold_nothing_in_files, make_table
from .norm_warnings import norm_warnings
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
_SUMMARY = ('norms', 'type', 'training', 'put there by')
_NUMBERS = ('channels', 'groups', 'norms')


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
    fold_nothing_in_files(console)
    console.print(norm_table(rows))
    console.print()
    console.print(summary_table(rows))
    return norm_warnings(model, cfg)


def norm_table(rows: list[NormInfo]) -> Table:
    """Tabulate norms, a row each; ``groups`` is number × size."""
    table = make_table(*_COLUMNS, numbers=_NUMBERS)
    for row in rows:
        groups = '{} × {}'.format(*row.groups) if row.groups else ''
        add_row(
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
    table = make_table(*_SUMMARY, numbers=_NUMBERS)
    counts = Counter((row.type, row.state, row.source) for row in rows)
    for kind, count in counts.items():
        add_row(table, count, *kind)
    return table
