"""Tables on the terminal, all of one look."""

from __future__ import annotations

from collections.abc import Container

from rich.console import Console
from rich.table import Table
from rich.text import Text


def make_table(
    *columns: str | Text,
    numbers: Container[str] = (),
    whole: Container[str] = (),
    gap: int = 2,
) -> Table:
    """Make a table without lines.

    Args:
        columns: headers; without any, none are shown.
        numbers: those of the columns that are right-justified and not
            wrapped. Text in the others is folded where it does not fit.
        whole: those of the others that are not.
        gap: spaces between columns.
    """
    table = Table(
        box=None,
        padding=(0, gap, 0, 0),
        pad_edge=False,
        show_header=bool(columns),
    )
    for column in columns:
        header = column if isinstance(column, Text) else Text(column)
        if header.plain in numbers:
            table.add_column(header, justify='right', no_wrap=True)
        else:
            no_wrap = header.plain in whole
            table.add_column(header, overflow='fold', no_wrap=no_wrap)
    return table


def add_row(table: Table, *cells: object, style: str | None = None) -> None:
    """Add a row of values as they are.

    Names may hold brackets, which rich would take for markup.
    """
    table.add_row(
        *(c if isinstance(c, Text) else Text(str(c)) for c in cells),
        style=style,
    )


def fold_nothing_in_files(console: Console) -> None:
    """Give a console that writes to a file room for any line."""
    if not console.is_terminal:
        console.width = 1000
