"""Which figures a report has."""

from collections.abc import Sequence

from ..runs import Run
from .bars import (
    averages_figure,
    depth_figure,
    divergence_figure,
    hard_figure,
    layers_figure,
)
from .curves import dynamics_figures, receptive_field_figure
from .names import letters
from .seeds import seeds_figures
from .spec import Figure


def make_figures(runs: Sequence[Run]) -> list[Figure]:
    """Make all figures that the runs have numbers for.

    Args:
        runs: one or more, to be shown side by side.
    """
    figures = [
        averages_figure(runs),
        layers_figure(runs),
        depth_figure(runs),
        receptive_field_figure(runs),
        divergence_figure(runs),
        *seeds_figures(runs),
    ]
    for letter, run in zip(letters(runs), runs):
        figures += [hard_figure(run, letter), *dynamics_figures(run, letter)]
    return [figure for figure in figures if figure is not None]
