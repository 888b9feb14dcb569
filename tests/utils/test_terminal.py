import io

from rich.console import Console

from whiten_plugins.utils.terminal import (
    add_row,
    fold_nothing_in_files,
    make_table,
)


def test_cells_are_text_and_lines_in_files_stay_whole():
    table = make_table('name', 'count', numbers=('count',))
    add_row(table, 'stages[0]' + 30 * '.conv' + '[bold]', 7)
    file = io.StringIO()
    console = Console(file=file)
    fold_nothing_in_files(console)
    console.print(table)
    header, row = file.getvalue().splitlines()
    assert row.rstrip() == f'stages[0]{30 * ".conv"}[bold]      7'
    assert header.split() == ['name', 'count']
