"""Fill the pages of the documentation from the results of studies.

A page marks what is drawn, by the name of a study and what of it::

    <!-- study small-batches-detection -->
    <!-- end -->

Everything between the marks is replaced. Within a sentence one figure is
drawn, by metric, row and column::

    <!-- value robustness mIoU (BN) (gamma 2) --><!-- end -->
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.studies.study import ROOT, Metric, Study, read_results

PAGES = (
    ROOT / 'docs' / 'evidence.md',
    ROOT / 'docs' / 'which_norm.md',
    ROOT / 'README.md',
)
_MARKED = re.compile(
    r'(<!-- (study|table) ([\w-]+)(?: (\S+))? -->\n).*?(<!-- end -->)',
    re.DOTALL,
)
_VALUE = re.compile(
    r'(<!-- value ([\w-]+) (\S+) \((.+?)\) \((.+?)\) -->)[^<]*(<!-- end -->)'
)


def fill(text: str, studies: Mapping[str, Study]) -> str:
    """Return a page with everything that it marks drawn anew.

    Args:
        text: of the page.
        studies: all, by name.
    """

    def drawn(match: re.Match[str]) -> str:
        opening, kind, name, key, end = match.groups()
        study = studies[name]
        results = read_results(name, study)
        if kind == 'study':
            body = render(name, study, results)
        else:
            (metric,) = (m for m in study.metrics if m.key == key)
            body = table(study, results, metric)
        return f'{opening}{body}{end}'

    def figure(match: re.Match[str]) -> str:
        opening, name, key, row, column, end = match.groups()
        study = studies[name]
        (metric,) = (m for m in study.metrics if m.key == key)
        (cell,) = (
            c for c in study.cells if (c.row, c.column) == (row, column)
        )
        found = read_results(name, study)[cell.name]
        return f'{opening}{summarize(found, metric)}{end}'

    return _VALUE.sub(figure, _MARKED.sub(drawn, text))


def render(name: str, study: Study, results: dict[str, list[dict]]) -> str:
    """Return what a page says of a study."""
    done = [result for found in results.values() for result in found]
    parts = [f'### {study.title}\n', f'{study.question}\n']
    parts.append(f'{study.setting}\n')
    parts.append(f'```bash\npython tools/study.py {name}\n```\n')
    if not done:
        return '\n'.join([*parts, 'Not run yet.\n'])
    parts.append(f'{_about(study, done)}\n')
    if study.figure:
        parts.append(f'![{study.title}](figures/{name}.png)\n')
    for metric in study.metrics:
        if any(values(found, metric) for found in results.values()):
            parts.append(table(study, results, metric, metric.title))
    return '\n'.join(parts)


def _about(study: Study, done: Sequence[dict]) -> str:
    seeds = sorted({result['seed'] for result in done})
    machines = sorted({result['machine']['chip'] for result in done})
    torch = sorted({result['machine']['torch'] for result in done})
    dates = sorted({result['machine']['date'] for result in done})
    minutes = sum(result['cpu seconds'] for result in done) / 60
    total = len(study.cells) * len(study.seeds)
    count = f'{total}' if len(done) == total else f'{len(done)} of {total}'
    when = ' to '.join(dict.fromkeys((dates[0], dates[-1])))
    return (
        f'Mean ± standard deviation over seeds '
        f'{", ".join(map(str, seeds))}; {count} runs, {minutes:.0f} core '
        f'minutes; {", ".join(machines)}, torch {", ".join(torch)}, {when}.'
    )


def table(
    study: Study,
    results: dict[str, list[dict]],
    metric: Metric,
    corner: str = '',
) -> str:
    """Return the table of one figure: a row a norm, say."""
    cells = {
        (cell.row, cell.column): results[cell.name] for cell in study.cells
    }
    columns = columns_of(study)
    rows = dict.fromkeys(
        cell.row for cell in study.cells if values(results[cell.name], metric)
    )
    head = f'{corner}, {study.columns}' if corner else study.columns
    lines = [f'| {head} | {" | ".join(columns)} |']
    lines.append('|---' * (len(columns) + 1) + '|')
    for row in rows:
        shown = [
            summarize(cells.get((row, column), []), metric)
            for column in columns
        ]
        lines.append(f'| {row} | {" | ".join(shown)} |')
    return '\n'.join(lines) + '\n'


def columns_of(study: Study) -> list[str]:
    """Return the columns, sorted where they are numbers."""
    columns = list(dict.fromkeys(cell.column for cell in study.cells))
    if all(column.isdigit() for column in columns):
        columns.sort(key=int)
    return columns


def values(
    results: Sequence[Mapping[str, Any]], metric: Metric
) -> list[float]:
    """Return a figure of every seed that has it."""
    return [
        result['metrics'][metric.key] * metric.scale
        for result in results
        if metric.key in result['metrics']
    ]


def summarize(results: Sequence[Mapping[str, Any]], metric: Metric) -> str:
    """Return the mean and the standard deviation over seeds as text."""
    found = values(results, metric)
    if not found:
        return '–'
    digits = metric.digits
    spread = f' ± {stdev(found):.{digits}f}' if len(found) > 1 else ''
    return f'{mean(found):.{digits}f}{spread}'


def write_pages(studies: Mapping[str, Study]) -> list[Path]:
    """Fill the pages in place, and return those that changed."""
    changed = []
    for page in PAGES:
        before = page.read_text()
        after = fill(before, studies)
        if after != before:
            page.write_text(after)
            changed.append(page)
    return changed
