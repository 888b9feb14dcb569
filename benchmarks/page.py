"""Draw the page docs/benchmarks.md from what was measured.

Every file of ``benchmarks/results`` that ``tools/benchmark.py --json`` wrote,
``layers_*.json`` and ``network_*.json``, becomes a section::

    python tools/benchmark.py --json benchmarks/results/layers_cpu.json
    python -m benchmarks.page
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from whiten_plugins.ratios.charts.drawing.axes import vertical_axis
from whiten_plugins.ratios.charts.drawing.marks import (
    Drawing,
    Group,
    Line,
    Mark,
    Rect,
    Text,
)
from whiten_plugins.ratios.charts.drawing.svg import to_svg_file
from whiten_plugins.utils.files import write_texts

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / 'benchmarks' / 'results'
PAGE = ROOT / 'docs' / 'benchmarks.md'
FIGURES = ROOT / 'docs' / 'figures'
INTRODUCTION = """\
# Benchmarks

Forward and backward of each norm against `torch.nn.BatchNorm2d` on the same
tensor in one process, in turns, round by round, so that what else the machine
does falls on all alike. A cell is the median ratio to BatchNorm with its
quartiles, and the median milliseconds; *all* is the geometric mean over the
shapes, *saved* what is kept for the backward pass and *peak* the highest
memory, in sizes of the input.

```bash
python tools/benchmark.py --json benchmarks/results/layers_cpu.json
python -m benchmarks.page
```

The second command draws this page from the files in `benchmarks/results`.
"""
LEFT, BAR, GAP, HEIGHT, TOP = 62, 40, 26, 190, 16


def main() -> None:
    """Write the page and its figures."""
    for path, text in contents().items():
        write_texts({path: text})


def contents(results: Path = RESULTS) -> dict[Path, str]:
    """Return the text of the page and of each figure, by file."""
    page, files = [INTRODUCTION], {}
    for path in sorted(
        [*results.glob('layers_*.json'), *results.glob('network_*.json')]
    ):
        found = json.loads(path.read_text())
        page.append(section(found, path.stem))
        if 'all' in found.get('summaries', {}):
            figure = FIGURES / f'benchmark_{path.stem}.svg'
            files[figure] = to_svg_file(draw(found), found['title'])
    return {PAGE: '\n'.join(page), **files}


def section(found: dict[str, Any], name: str) -> str:
    """Write one measurement: heading, machine, figure, table."""
    machine = found['machine']
    where = f'{machine["chip"]}, torch {machine["torch"]}, {machine["date"]}'
    note = found.get('note', '')
    heading = f'{found["title"]} ({name})'
    lines = [
        f'## {heading[0].upper()}{heading[1:]}',
        '',
        f'{where}. {note}'.strip(),
        '',
    ]
    summaries = found.get('summaries', {})
    if 'all' in summaries:
        picture = f'figures/benchmark_{name}.svg'
        lines += [f'![Time against BatchNorm]({picture})', '']
    cases = list(found['results'])
    titles = [found['row'], *cases, *summaries]
    lines.append(f'| {" | ".join(titles)} |')
    lines.append('|---' * len(titles) + '|')
    for norm in found['results'][cases[0]]:
        cells = [_cell(found['results'][case][norm]) for case in cases]
        cells += [f'{values[norm]:.2f}' for values in summaries.values()]
        lines.append(f'| `{norm}` | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def _cell(result: dict[str, Any]) -> str:
    low, high = result['quartiles']
    return (
        f'{result["ratio"]:.2f} [{low:.2f}–{high:.2f}], '
        f'{result["milliseconds"]:.2f} ms'
    )


def draw(found: dict[str, Any]) -> Drawing:
    """Draw a bar for each norm: its time against BatchNorm, over all."""
    ratios: dict[str, float] = found['summaries']['all']
    end = max(1.25, 1.1 * max(ratios.values()))
    width = len(ratios) * (BAR + GAP)
    marks: list[Mark | Group] = [
        *vertical_axis(LEFT, width, TOP, HEIGHT, end),
        Text(
            16,
            TOP + HEIGHT / 2,
            'time / BatchNorm',
            anchor='middle',
            turned=True,
        ),
    ]
    for place, (norm, ratio) in enumerate(ratios.items()):
        x, size = LEFT + GAP / 2 + place * (BAR + GAP), HEIGHT * ratio / end
        bottom = TOP + HEIGHT
        marks.append(Rect(x, bottom - size, BAR, size, 'in'))
        middle = x + BAR / 2
        value = Text(
            middle, bottom - size - 4, f'{ratio:.2f}', size=11, anchor='middle'
        )
        label = norm.replace('sw_type=', '')
        marks += [
            value,
            Text(middle, bottom + 17, label, 'ink', 12, 'middle'),
        ]
    level = TOP + HEIGHT * (1 - 1 / end)
    marks.append(Line(LEFT, level, LEFT + width, level, 'ink'))
    return Drawing(LEFT + width + 16, math.ceil(TOP + HEIGHT + 30), marks)


if __name__ == '__main__':
    main()
