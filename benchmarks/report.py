"""What was measured, where and when: a table and a JSON file."""

from __future__ import annotations

import json
import os
from pathlib import Path

from rich.console import Console
from rich.table import Table


def show(found: dict, console: Console | None = None) -> None:
    """Prints a table of ratios to BatchNorm, a row a norm or network.

    Args:
        found: what ``layers.run`` or ``network.run`` returned.
        console: where to print; the terminal by default.
    """
    console = console or Console()
    table = Table(title=f'{found["title"]} ({_where(found["machine"])})')
    table.add_column(found['row'])
    cases = list(found['results'])
    for case in cases:
        table.add_column(case, justify='right')
    summaries = found.get('summaries', {})
    for summary in summaries:
        table.add_column(summary, justify='right')
    for name in found['results'][cases[0]]:
        cells = [_cell(found['results'][case][name]) for case in cases]
        cells += [f'{values[name]:.2f}' for values in summaries.values()]
        table.add_row(name, *cells)
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
    """Writes all figures as JSON, by a temporary name."""
    temporary = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    temporary.write_text(json.dumps(found, indent=1) + '\n')
    temporary.replace(path)
