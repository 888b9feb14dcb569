"""What was measured, where and when: a table and a JSON file."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from whiten_plugins.utils.files import write_texts
from whiten_plugins.utils.terminal import add_row, make_table


def show(found: dict, console: Console | None = None) -> None:
    """Print a table of ratios to BatchNorm, one row per norm or network.

    Args:
        found: what ``layers.run`` or ``network.run`` returned.
        console: where to print; the terminal by default.
    """
    console = console or Console()
    cases = list(found['results'])
    summaries = found.get('summaries', {})
    numbers = (*cases, *summaries)
    table = make_table(found['row'], *numbers, numbers=numbers)
    table.title = f'{found["title"]} ({_where(found["machine"])})'
    for name in found['results'][cases[0]]:
        cells = [_cell(found['results'][case][name]) for case in cases]
        cells += [f'{values[name]:.2f}' for values in summaries.values()]
        add_row(table, name, *cells)
    console.print(table)


def _cell(result: dict) -> str:
    low, high = result['quartiles']
    return (
        f'{result["ratio"]:.2f} [{low:.2f}-{high:.2f}] '
        f'{result["milliseconds"]:.2f} ms'
    )


def _where(machine: dict[str, str]) -> str:
    return f'{machine["chip"]}, torch {machine["torch"]}, {machine["date"]}'


def write(found: dict, path: Path) -> None:
    """Write all figures as JSON, whole or not at all."""
    text = json.dumps(found, indent=1) + '\n'
    write_texts({path: text})
