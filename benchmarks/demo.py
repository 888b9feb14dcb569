"""Record what ``make demo`` reaches, and draw its part of docs/evidence.md.

::

    python -m benchmarks.demo measure --work-dir work_dirs/demo/recorded
    python -m benchmarks.demo draw

The part of the page between ``<!-- demo -->`` and ``<!-- end -->`` is
replaced.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.summary import averages_by_part
from whiten_plugins.utils.files import write_texts
from whiten_plugins.utils.machine import describe_machine

ROOT = Path(__file__).parents[1]
RESULT = ROOT / 'benchmarks' / 'results' / 'demo.json'
PAGE = ROOT / 'docs' / 'evidence.md'
_MARKED = re.compile(r'(<!-- demo -->\n).*?(<!-- end -->)', re.DOTALL)


def main() -> None:
    """Run the demo and write its result, or draw the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=('measure', 'draw'))
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/demo/recorded')
    )
    args = parser.parse_args()
    if args.action == 'measure':
        if args.work_dir.exists():
            parser.error(f'{args.work_dir} is there: a demo goes on from it')
        found = measure(args.work_dir)
        write_texts({RESULT: json.dumps(found, indent=1) + '\n'})
    write_texts({PAGE: fill(PAGE.read_text(), json.loads(RESULT.read_text()))})


def measure(work_dir: Path) -> dict[str, Any]:
    """Run the demo from its start, its data set included."""
    command = ['tools/demo.py', '--work-dir', str(work_dir)]
    load, start = os.getloadavg()[0], time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    data = ['--data', str(work_dir.with_name(f'{work_dir.name}_data'))]
    subprocess.run([sys.executable, *command, *data], cwd=ROOT, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    minutes = (time.monotonic() - start) / 60
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {
        'command': f'python {" ".join(command)}',
        'minutes': round(minutes, 1),
        'cpu seconds': round(cpu),
        'load average before': round(load, 1),
        'nice': os.nice(0),
        'machine': describe_machine(torch.device('cpu')),
        **{
            name: json.loads((work_dir / f'{name}.json').read_text())
            for name in ('demo', 'answers', 'metrics', 'diagnoses')
        },
        'ratios': averages_by_part(read_run(work_dir).layers),
    }


def fill(page: str, found: dict[str, Any]) -> str:
    """Return the page with what was found between its marks."""
    return _MARKED.sub(lambda m: f'{m[1]}{render(found)}{m[2]}', page)


def render(found: dict[str, Any]) -> str:
    """Return the tables of the demo and what it took."""
    machine, demo, metrics = (
        found[name] for name in ('machine', 'demo', 'metrics')
    )
    shares = ', '.join(
        f'{part} {averages["mean"]["bw"]:.3f}'
        for part, averages in found['ratios'].items()
    )
    return '\n'.join(
        [
            f'`{found["command"]}`, seed {demo["seed"]}; {machine["chip"]}, '
            f'torch {machine["torch"]}, {machine["date"]}. '
            f'{found["minutes"]:.0f} minutes after the set-up, '
            f'{found["cpu seconds"]} core seconds; the load average was '
            f'{found["load average before"]} before it began, its niceness '
            f'{found["nice"]}.',
            '',
            '| norm | a cat | a cup of coffee | a motorcycle | features off |',
            '|---|---|---|---|---|',
            *_answers(found['answers']),
            '',
            f'Fine-tuned on {demo["num_train"]} crops, {demo["max_iters"]} '
            'iterations of 2 images at 192 pixels, it reaches a box AP of '
            f'{metrics["coco/bbox_mAP"] * 100:.1f} and a mask AP of '
            f'{metrics["coco/segm_mAP"] * 100:.1f} on {demo["num_val"]}. '
            f'The share of the batch in the means then: {shares}.',
            '',
            '| backbone | condition (90 %) before its norms | after them | '
            'running statistics off |',
            '|---|---|---|---|',
            *(
                f'| {name} | {row["condition before"]:.0f} | '
                f'{row["condition after"]:.0f} | '
                f'{row["running statistics off"]:.0%} |'
                for name, row in found['diagnoses'].items()
            ),
            '',
        ]
    )


def _answers(answers: dict[str, Any]) -> list[str]:
    rows = []
    for name, found in answers.items():
        cells = [
            f'{label} {probability:.3f}'
            for label, probability in zip(
                found['classes'], found['probabilities']
            )
        ]
        rows.append(
            f'| {name} | {" | ".join(cells)} | {found["features off"]:.1%} |'
        )
    return rows


if __name__ == '__main__':
    main()
