"""Train the cells of a study, as many at a time as there are cores."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.studies.study import ROOT, Cell, Study, result_file
from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.summary import averages_by_part
from whiten_plugins.utils.files import write_files
from whiten_plugins.utils.machine import describe_machine


class StudyError(RuntimeError):
    """A training of a study that did not end well."""


def run_study(
    name: str,
    study: Study,
    work_dir: Path,
    workers: int,
    console: Console,
) -> None:
    """Train what has no result yet; one core a training.

    Interrupted, the same call goes on: a finished training has its result
    file, an unfinished one resumes from its last checkpoint.

    Args:
        name: of the study.
        study: its cells and seeds.
        work_dir: folder for the trainings; the data sets lie in ``data/``.
        workers: trainings at a time.
        console: where to say what is done.

    Raises:
        StudyError: if a training failed; the others are finished first.
    """
    due = [
        (cell, seed)
        for cell, seed in study.runs()
        if not result_file(name, cell, seed).exists()
    ]
    total = len(study.cells) * len(study.seeds)
    console.print(f'{name}: {total - len(due)} of {total} trainings are there')

    def train(run: tuple[Cell, int]) -> str | None:
        cell, seed = run
        folder = work_dir / name / f'{cell.name}--seed{seed}'
        start = time.monotonic()
        command = _command(study, cell, seed, folder)
        status = _execute(command, folder)
        if status:
            return f'{folder}/output.txt: exit status {status}'
        result = _result(cell, seed, folder, command)
        result['seconds'] = round(time.monotonic() - start, 1)
        text = json.dumps(result, indent=1) + '\n'
        file = result_file(name, cell, seed)
        write_files({file: lambda path: path.write_text(text)})
        console.print(f'{cell.row}, {cell.column}, seed {seed}: done')
        return None

    with ThreadPoolExecutor(workers) as pool:
        failures = [failure for failure in pool.map(train, due) if failure]
    if failures:
        raise StudyError('; '.join(failures))


def _command(study: Study, cell: Cell, seed: int, folder: Path) -> list[str]:
    options = {
        **cell.options,
        'randomness.seed': seed,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'val_dataloader.num_workers': 0,
        'val_dataloader.persistent_workers': False,
    }
    return [
        'tools/train.py',
        f'configs/{study.config}',
        '--work-dir',
        str(folder),
        '--resume',
        '--cfg-options',
        *(f'{key}={_text(value)}' for key, value in options.items()),
    ]


def _text(value: Any) -> str:
    """Return a value as ``--cfg-options`` reads it."""
    if isinstance(value, tuple):
        return f'({",".join(map(str, value))})'
    return str(value)


def _execute(command: list[str], folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'OMP_WAIT_POLICY': 'PASSIVE',
    }
    with (folder / 'output.txt').open('a') as output:
        return subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        ).returncode


def _result(cell: Cell, seed: int, folder: Path, command: list[str]) -> dict:
    return {
        'row': cell.row,
        'column': cell.column,
        'seed': seed,
        'metrics': _metrics(folder),
        'ratios': _ratios(folder),
        'command': shlex.join(['python', *command]),
        'machine': describe_machine(torch.device('cpu')),
    }


def _metrics(folder: Path) -> dict[str, float]:
    """Return the last validation among the scalars mmengine logged."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    rows = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    validations = [row for row in rows if _is_validation(row)]
    return {k: v for k, v in validations[-1].items() if k != 'step'}


def _is_validation(row: dict) -> bool:
    return any(key == 'mIoU' or key.startswith('coco/') for key in row)


def _ratios(folder: Path) -> dict:
    """Return the average ratios by part of the network, if any."""
    if not list(folder.glob('ratio_history.jsonl')):
        return {}
    return averages_by_part(read_run(folder).layers)
