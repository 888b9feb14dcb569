"""Draw the figures of studies whose columns are an axis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.studies.page import columns_of, values
from benchmarks.studies.study import (
    ROOT,
    SHARES,
    Metric,
    Study,
    read_results,
)

FIGURES = ROOT / 'docs' / 'figures'
_COLORS = colormaps['tab10'].colors


def draw_figures(studies: Mapping[str, Study]) -> list[Path]:
    """Draw ``docs/figures/NAME.png`` of every study with results."""
    drawn = []
    for name, study in studies.items():
        results = read_results(name, study) if study.figure else {}
        if any(results.values()):
            drawn.append(FIGURES / f'{name}.png')
            _draw(study, results, drawn[-1])
    return drawn


def _draw(study: Study, results: dict[str, list[dict]], path: Path) -> None:
    metrics = [metric for metric in study.metrics if metric not in SHARES]
    figure = Figure(figsize=(4.2 * len(metrics), 3.4), layout='constrained')
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panels, metrics):
        _draw_metric(axes, study, results, metric)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc='outside right center', frameon=False, fontsize=8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={'Software': None})


def _draw_metric(
    axes: Axes, study: Study, results: dict[str, list[dict]], metric: Metric
) -> None:
    columns = columns_of(study)
    rows = list(dict.fromkeys(cell.row for cell in study.cells))
    for index, row in enumerate(rows):
        points = sorted(
            (columns.index(cell.column), found)
            for cell in study.cells
            if cell.row == row
            and (found := values(results[cell.name], metric))
        )
        if not points:
            continue
        axes.errorbar(
            [x for x, _ in points],
            [mean(found) for _, found in points],
            [stdev(found) if len(found) > 1 else 0 for _, found in points],
            label=row,
            color=_COLORS[index % len(_COLORS)],
            marker='os^Dv<>ph'[index % 9],
            markersize=4,
            capsize=2,
            linewidth=1.2,
        )
    axes.set_xticks(range(len(columns)), columns)
    axes.set(xlabel=study.columns, ylabel=metric.title)
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
