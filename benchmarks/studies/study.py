"""What a study is, and where its results lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / 'benchmarks' / 'results' / 'studies'


@dataclass(frozen=True)
class Cell:
    """One row and column of a study's table.

    Args:
        row: what the row varies, for example the norm.
        column: what the column varies, for example the batch size.
        options: settings of the config that make this cell.
    """

    row: str
    column: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A name for files: letters, digits, dots and hyphens."""
        text = f'{self.row}--{self.column}'
        return ''.join(c if c.isalnum() or c in '.-' else '_' for c in text)


@dataclass(frozen=True)
class Study:
    """A table of trainings.

    Args:
        title: heading of its page.
        question: the claim and the paper that makes it, one sentence.
        config: path of the config, below ``configs/``.
        data: ``--format`` of the mini data set that the config reads.
        columns: what the columns vary, as a heading.
        metrics: names of the metrics of validation to show.
        cells: rows and columns.
        seeds: seeds of every cell.
    """

    title: str
    question: str
    config: str
    data: str
    columns: str
    metrics: tuple[str, ...]
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...] = (0, 1, 2)

    def runs(self) -> Iterator[tuple[Cell, int]]:
        """Yield every cell with the first seed, then the second, and so on.

        An interrupted study thus has whole tables of fewer seeds.
        """
        for seed in self.seeds:
            for cell in self.cells:
                yield cell, seed


def result_file(name: str, cell: Cell, seed: int) -> Path:
    """Return where the result of one training lies."""
    return RESULTS / name / f'{cell.name}--seed{seed}.json'


def read_results(name: str, study: Study, cell: Cell) -> list[dict]:
    """Read the results of a cell, as many seeds as there are."""
    files = [result_file(name, cell, seed) for seed in study.seeds]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def summarize(results: list[dict], metric: str) -> str:
    """Return the mean and the standard deviation over seeds as text."""
    values = [r['metrics'][metric] for r in results if metric in r['metrics']]
    if not values:
        return '–'
    spread = f' ± {stdev(values):.3f}' if len(values) > 1 else ''
    return f'{mean(values):.3f}{spread}'
