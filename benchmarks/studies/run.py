"""Run the cells of a study, as many at a time as there are cores.

Every run is a process of its own, forked from one that has the toolkits
imported already: importing them takes longer than some of the trainings.
"""

from __future__ import annotations

import json
import multiprocessing
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from mmengine.config import config
from rich.console import Console

from benchmarks.studies.execution import (
    averages_of,
    checkpoint_of,
    commands_of,
    execute,
    folder_of,
    metrics_of,
)
from benchmarks.studies.study import ROOT, Cell, Study, result_file
from whiten_plugins.config import load_config
from whiten_plugins.demo_data import make_mini_dataset
from whiten_plugins.utils.files import write_texts
from whiten_plugins.utils.machine import describe_machine

DATA = ROOT / 'data' / 'studies'


class StudyError(RuntimeError):
    """A run of a study that did not end well."""


def run_study(
    name: str,
    study: Study,
    work_dir: Path,
    workers: int,
    console: Console,
) -> None:
    """Run what has no result yet; one core a run.

    Interrupted, the same call goes on: a finished run has its result file,
    an unfinished training resumes from its last checkpoint.

    Args:
        name: of the study.
        study: its cells and seeds.
        work_dir: folder for the trainings.
        workers: runs at a time, unless the study's must be alone.
        console: where to say what is done.

    Raises:
        StudyError: if a run failed; the others are finished first.
    """
    due = [
        (cell, seed)
        for cell, seed in study.runs()
        if not result_file(name, cell, seed).exists()
    ]
    total = len(study.cells) * len(study.seeds)
    console.print(f'{name}: {total - len(due)} of {total} runs are there')
    if due:
        for folder, arguments in study.data.items():
            make_mini_dataset(DATA / folder, **arguments, progress=True)
    _prepare(study)
    folder, failures = work_dir / name, []
    due = [*_lacking_starts(due, folder), *due]
    workers = 1 if study.alone else workers
    # A cell waits for the one that it starts from.
    for ready in _in_waves(due):
        jobs = [(name, cell, seed, folder) for cell, seed in ready]
        for (cell, seed), failure in zip(ready, _results(jobs, workers)):
            console.print(
                f'{cell.row}, {cell.column}, seed {seed}: {failure or "done"}'
            )
            if failure:
                failures.append(failure)
    if failures:
        raise StudyError('; '.join(failures))


def _lacking_starts(
    due: list[tuple[Cell, int]], folder: Path
) -> list[tuple[Cell, int]]:
    """Return the trainings whose networks are to be started from."""
    starts = dict.fromkeys(
        (cell.start.cell, seed) for cell, seed in due if cell.start
    )
    lacking = [
        (cell, seed)
        for cell, seed in starts
        if (cell, seed) not in due
        and not checkpoint_of(cell, seed, folder).exists()
    ]
    return [*_lacking_starts(lacking, folder), *lacking] if lacking else []


def _in_waves(
    due: list[tuple[Cell, int]],
) -> Iterator[list[tuple[Cell, int]]]:
    """Yield the runs that can be made at once, seed by seed."""
    while due:
        missing = {(cell.name, seed) for cell, seed in due}
        ready = [
            (cell, seed)
            for cell, seed in due
            if cell.start is None
            or (cell.start.cell.name, seed) not in missing
        ]
        first = min(seed for _, seed in ready)
        wave = [run for run in ready if run[1] == first]
        yield wave
        due = [run for run in due if run not in wave]


_jobs: list[tuple[str, Cell, int, Path]] = []  # of the processes to fork


def _results(
    jobs: list[tuple[str, Cell, int, Path]], workers: int
) -> Iterator[str | None]:
    _jobs[:] = jobs
    context = multiprocessing.get_context('fork')
    with context.Pool(workers, maxtasksperchild=1) as pool:
        yield from pool.imap(_run_one, range(len(jobs)), chunksize=1)


def _prepare(study: Study) -> None:
    """Do once what every training would do, without starting any thread."""
    for module in (
        'sklearn.datasets',
        'torch._dynamo',
        'torchvision.models',
        'mmdet.apis',
        'mmseg.apis',
        'whiten_plugins.runner',
    ):
        with suppress(ImportError):
            __import__(module)
    # mmengine lays out a config for people in half a second, four times.
    config.FormatCode = lambda text, **_: (text, False)
    for path in dict.fromkeys(cell.config for cell in study.cells):
        if path:
            load_config(ROOT / path)


def _run_one(number: int) -> str | None:
    """Make one run and write its result.

    Returns:
        What failed, if anything.
    """
    name, cell, seed, folder = _jobs[number]
    torch.set_num_threads(1)
    start, cpu = time.monotonic(), time.process_time()
    commands: list[list[str]] = []
    if cell.measure is not None:
        try:
            metrics, ratios = cell.measure(seed), {}
        except Exception as error:  # the other runs go on
            return f'{cell.name}: {error!r}'
    else:
        place = folder_of(cell, seed, folder)
        place.mkdir(parents=True, exist_ok=True)
        commands = commands_of(cell, seed, folder)
        for command in commands:
            status = execute(command, place / 'output.txt')
            if status:
                return f'{place}/output.txt: exit status {status}'
        metrics, ratios = metrics_of(place), averages_of(place)
    result = {
        'row': cell.row,
        'column': cell.column,
        'seed': seed,
        'metrics': metrics,
        'ratios': ratios,
        'commands': [
            shlex.join(['whiten', *command]).replace(f'{ROOT}/', '')
            for command in commands
        ],
        'machine': describe_machine(torch.device('cpu')),
        'seconds': round(time.monotonic() - start, 1),
        'cpu seconds': round(time.process_time() - cpu, 1),
    }
    text = json.dumps(result, indent=1) + '\n'
    write_texts({result_file(name, cell, seed): text})
    return None
