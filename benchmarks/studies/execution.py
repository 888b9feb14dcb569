"""What one run of a study executes, and what it leaves."""

from __future__ import annotations

import json
import math
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.studies.study import ROOT, Cell
from whiten_plugins.cli import main
from whiten_plugins.ratios import read_run
from whiten_plugins.ratios.summary import averages_by_part

DIAGNOSIS = 'diagnosis'
# With fewer elements a channel the covariance over all is no estimate.
ELEMENTS_A_CHANNEL = 8


def folder_of(cell: Cell, seed: int, folder: Path) -> Path:
    """Return the folder of a run in that of its study."""
    return folder / f'{cell.name}--seed{seed}'


def checkpoint_of(cell: Cell, seed: int, folder: Path) -> Path:
    """Return the checkpoint that a training ends with."""
    iterations = cell.options['train_cfg.max_iters']
    return folder_of(cell, seed, folder) / f'iter_{iterations}.pth'


def commands_of(cell: Cell, seed: int, folder: Path) -> list[list[str]]:
    """Return the ``whiten`` commands of a run, one after another.

    Args:
        cell: the cell.
        seed: the seed of its training.
        folder: of the study; every run has a folder in it.
    """
    place = folder_of(cell, seed, folder)
    config, start, commands = str(ROOT / cell.config), '', []
    if cell.start is not None:
        source = cell.start.cell
        start = str(checkpoint_of(source, seed, folder))
        if cell.start.command:
            made = str(place / 'start.pth')
            names = dict(
                config=str(ROOT / source.config), source=start, made=made
            )
            commands = [[p.format(**names) for p in cell.start.command]]
            start = made
    options = {**cell.options, 'randomness.seed': seed}
    texts = [
        f'{key}={text_of(value)}'.replace('{start}', start)
        for key, value in options.items()
    ]
    first = ['test', config, start] if cell.test_only else ['train', config]
    # To resume by itself sets aside what a training starts from.
    interrupted = not start or any(place.glob('iter_*.pth'))
    resume = ['--resume'] if interrupted and not cell.test_only else []
    tail = ['--work-dir', str(place), '--cfg-options', *texts]
    commands.append([*first, *resume, *tail])
    if cell.diagnosed:
        checkpoint = str(checkpoint_of(cell, seed, folder))
        out = str(place / DIAGNOSIS)
        look = ['diagnose', config, checkpoint, '--batches', '2']
        look += ['--device', 'cpu', '--out', out, '--overwrite']
        commands.append([*look, '--cfg-options', *texts])
    return commands


def text_of(value: Any) -> str:
    """Return a value as ``--cfg-options`` reads it."""
    if isinstance(value, tuple):
        return f'({",".join(map(str, value))})'
    return str(value)


def execute(command: list[str], output: Path) -> int:
    """Execute a ``whiten`` command in this process.

    Args:
        command: its arguments.
        output: file to which everything that it prints is added.

    Returns:
        int: Its exit code.
    """
    with (
        output.open('a') as file,
        redirect_stdout(file),
        redirect_stderr(file),
    ):
        try:
            return main(command)
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else 1
        except Exception:
            traceback.print_exc()
            return 1
        finally:
            sys.stdout.flush()


def metrics_of(folder: Path) -> dict[str, float]:
    """Return the last validation or test among what mmengine logged.

    And the condition that the norms leave, the median, if that was diagnosed.
    """
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    logs += sorted(folder.glob('*/2*.json'))
    rows = [
        json.loads(line)
        for log in logs
        for line in log.read_text().splitlines()
    ]
    validations = [row for row in rows if _is_validation(row)]
    found = {k: v for k, v in validations[-1].items() if k != 'step'}
    diagnosis = folder / DIAGNOSIS / 'diagnosis.json'
    if diagnosis.exists():
        norms = json.loads(diagnosis.read_text())['norms']
        conditions = (
            norm['after']['condition']['k90']
            for norm in norms
            if norm['after']['elements']
            >= ELEMENTS_A_CHANNEL * norm['after']['channels']
        )
        # JSON has no infinity: of channels that do not vary it says null.
        found['condition'] = median(
            math.inf if k90 is None else k90 for k90 in conditions
        )
    return found


def _is_validation(row: dict) -> bool:
    return any(key == 'mIoU' or key.startswith('coco/') for key in row)


def averages_of(folder: Path) -> dict:
    """Return the average ratios by part of the network, if any."""
    if not list(folder.glob('ratio_history.jsonl')):
        return {}
    return averages_by_part(read_run(folder).layers)
