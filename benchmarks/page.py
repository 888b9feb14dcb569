"""Draw docs/benchmarks.md from the measurements in benchmarks/results."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks' / 'results'
PAGE = ROOT / 'docs' / 'benchmarks.md'

_INTRODUCTION = """\
# Benchmarks

This page is drawn from `benchmarks/results/*.json` by
`python -m benchmarks.page`; the commands below make these files. Times are
ratios to `nn.BatchNorm2d` on the same tensor in the same process, forward and
backward: medians, with the quartiles in brackets. "Kept" is the largest memory
that a layer keeps for its backward, in sizes of its input.
`OMP_WAIT_POLICY=PASSIVE` is set throughout, as every tool of this project
does: with the default, waiting threads spin, and beside one other busy process
a layer of one millisecond takes seventy.
"""


def _table(found: dict) -> list[str]:
    results, summaries = found['results'], found.get('summaries', {})
    columns = [found['row'], *results, *summaries]
    lines = [
        f'| {" | ".join(columns)} |',
        '|---' * len(columns) + '|',
    ]
    for name in next(iter(results.values())):
        cells = [name]
        for case in results.values():
            low, high = case[name]['quartiles']
            ratio = case[name]['ratio']
            cells.append(f'{ratio:.2f} [{low:.2f}–{high:.2f}]')
        cells += [f'{values[name]:.2f}' for values in summaries.values()]
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def render() -> str:
    """Return the text of the page."""
    parts = [_INTRODUCTION]
    for path in sorted(RESULTS.glob('benchmark-*.json')):
        found = json.loads(path.read_text())
        machine = ', '.join(str(v) for v in found['machine'].values())
        parts += [
            f'## {found["title"]}\n',
            '\n'.join(_table(found)),
            f'\n{machine}.\n',
            f'```bash\n{found["command"]}\n```\n',
        ]
    return '\n'.join(parts)


if __name__ == '__main__':
    PAGE.write_text(render())
