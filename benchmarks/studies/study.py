"""What a study is, and where its results lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / 'benchmarks' / 'results' / 'studies'


@dataclass(frozen=True)
class Start:
    """The network that a training or a test starts from.

    Args:
        cell: whose network it is, of the same seed.
        command: a ``whiten`` command that changes its checkpoint first; it
            may name ``{config}``, ``{source}`` and ``{made}``.
    """

    cell: Cell
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One row and column of a study's table.

    Args:
        row: what the row varies, for example the norm.
        column: what the column varies, for example the batch size.
        config: path of the config, below the checkout.
        options: settings of the config that make this cell; ``{start}`` in
            them is the checkpoint to start from.
        start: where that checkpoint is from.
        test_only: whether the checkpoint is only tested.
        measure: a function of the seed to call in place of a training; it
            returns the metrics.
        diagnosed: whether ``whiten diagnose`` looks at the trained network.
    """

    row: str
    column: str
    config: str = ''
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    start: Start | None = None
    test_only: bool = False
    measure: Callable[[int], dict[str, float]] | None = None
    diagnosed: bool = False

    @property
    def name(self) -> str:
        """A name for files: letters, digits, dots and hyphens."""
        text = f'{self.row}--{self.column}'
        known = ascii_letters + digits + '.-'
        return ''.join(c if c in known else '_' for c in text)


@dataclass(frozen=True)
class Metric:
    """A figure of a result, and how a table shows it.

    The key may be that of a ratio: part of the network, moment, statistic.
    """

    key: str
    title: str
    scale: float = 1.0
    digits: int = 1


AP = (
    Metric('coco/bbox_mAP', 'box AP', 100),
    Metric('coco/segm_mAP', 'mask AP', 100),
)
MIOU = (Metric('mIoU', 'mIoU'),)
SHARES = (
    Metric('all mean bn', 'share of bn in the means of SN, %', 100),
    Metric('all var bn', 'share of bn in the variances of SN, %', 100),
    Metric('all mean bw', 'share of bw in the means of SW, %', 100),
)
CONDITION = Metric('condition', 'condition (90 %) after the norms')


@dataclass(frozen=True)
class Study:
    """A table of trainings or measurements.

    Args:
        title: its heading.
        question: the claim and the paper that makes it, one sentence.
        setting: what is trained on what, sentences.
        columns: what the columns vary, as a heading.
        metrics: figures to show, a table each.
        cells: rows and columns.
        data: data sets that the configs read, by their folder below
            ``data/studies``: arguments of ``make_mini_dataset``.
        seeds: seeds of every cell.
        alone: whether its runs must not share the machine with one another.
        figure: whether to draw the columns as an axis.
    """

    title: str
    question: str
    setting: str
    columns: str
    metrics: tuple[Metric, ...]
    cells: tuple[Cell, ...]
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0, 1, 2)
    alone: bool = False
    figure: bool = False

    def runs(self) -> Iterator[tuple[Cell, int]]:
        """Yield every cell with the first seed, then the second, and so on.

        An interrupted study thus has whole tables of fewer seeds.
        """
        for seed in self.seeds:
            for cell in self.cells:
                yield cell, seed


def result_file(name: str, cell: Cell, seed: int) -> Path:
    """Return where the result of one run lies."""
    return RESULTS / name / f'{cell.name}--seed{seed}.json'


def read_results(name: str, study: Study) -> dict[str, list[dict]]:
    """Read the results of every cell, as many seeds as there are."""
    found = {}
    for cell in study.cells:
        files = [result_file(name, cell, seed) for seed in study.seeds]
        found[cell.name] = [
            _with_ratios(json.loads(file.read_text()))
            for file in files
            if file.exists()
        ]
    return found


def _with_ratios(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result whose metrics have the ratios too."""
    shares = {
        f'{part} {moment} {statistic}': value
        for part, averages in result['ratios'].items()
        for moment in ('mean', 'var')
        for statistic, value in averages[moment].items()
    }
    return {**result, 'metrics': {**shares, **result['metrics']}}
