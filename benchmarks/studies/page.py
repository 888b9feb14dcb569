"""Draw the pages of studies from their results."""

from __future__ import annotations

from pathlib import Path

from benchmarks.studies.study import (
    ROOT,
    Study,
    read_results,
    summarize,
)

PAGES = ROOT / 'docs' / 'studies'


def draw_page(name: str, study: Study) -> Path:
    """Write ``docs/studies/NAME.md`` from the results that there are."""
    results = {
        cell.name: read_results(name, study, cell) for cell in study.cells
    }
    page = PAGES / f'{name}.md'
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(name, study, results))
    return page


def render(name: str, study: Study, results: dict[str, list[dict]]) -> str:
    """Return the text of a study's page."""
    done = [result for found in results.values() for result in found]
    seeds = sorted({result['seed'] for result in done})
    machines = sorted({result['machine']['chip'] for result in done})
    dates = sorted({result['machine']['date'] for result in done})
    torch = sorted({result['machine']['torch'] for result in done})
    hours = sum(result['seconds'] for result in done) / 3600
    total = len(study.cells) * len(study.seeds)
    parts = [
        f'# {study.title}\n',
        f'{study.question}\n',
        f'Config `{study.config}`; mean ± standard deviation over seeds '
        f'{", ".join(map(str, seeds))}; {len(done)} of {total} trainings, '
        f'{hours:.1f} core hours; {", ".join(machines)}; torch '
        f'{", ".join(torch)}; {dates[0]} to {dates[-1]}.\n'
        if done
        else 'Not trained yet.\n',
        f'```bash\npython tools/study.py {name}\n```\n',
    ]
    for metric in study.metrics:
        parts += [f'## {metric}\n', _table(study, results, metric)]
    return '\n'.join(parts)


def _table(study: Study, results: dict[str, list[dict]], metric: str) -> str:
    cells = {
        (cell.row, cell.column): results[cell.name] for cell in study.cells
    }
    columns = list(dict.fromkeys(cell.column for cell in study.cells))
    rows = list(dict.fromkeys(cell.row for cell in study.cells))
    lines = [
        f'| {study.columns} | {" | ".join(columns)} |',
        '|---' * (len(columns) + 1) + '|',
    ]
    for row in rows:
        shown = [
            summarize(cells.get((row, column), []), metric)
            for column in columns
        ]
        lines.append(f'| {row} | {" | ".join(shown)} |')
    return '\n'.join(lines) + '\n'
