"""A diagnosis on the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.text import Text

from ..utils.terminal import add_row, fold_nothing_in_files, make_table
from .advice import SUGGESTIONS
from .results import Diagnosis, NormDiagnosis

_COLUMNS = (
    'norm',
    'type',
    'map',
    'values',
    'κ90 before',
    'after',
    'correlation',
    'deviation',
    'noise',
    'running off',
    'dead',
)


def print_diagnosis(found: Diagnosis, console: Console) -> None:
    """Print a row for every norm and the advice.

    Args:
        found: the diagnosis.
        console: where to print it.
    """
    fold_nothing_in_files(console)
    table = make_table(*_COLUMNS, numbers=_COLUMNS[2:])
    for norm in found.norms:
        add_row(table, *_cells(norm))
    console.print(table)
    if found.not_run:
        names = ', '.join(found.not_run)
        console.print(Text(f'not run: {names}'), soft_wrap=True)
    console.print()
    if not found.advice:
        console.print('nothing found')
    for advice in found.advice:
        kind = 'suggestion' if advice.problem in SUGGESTIONS else 'found'
        console.print(Text(f'{kind}: {advice.sentence}'), soft_wrap=True)


def _cells(norm: NormDiagnosis) -> list[str]:
    frozen = ' (frozen)' if norm.info.trainable is False else ''
    return [
        norm.name,
        norm.info.type + frozen,
        map_text(norm),
        values_text(norm),
        number(norm.before.condition.k90),
        number(norm.after.condition.k90),
        f'{norm.after.largest_correlation:.2f}',
        f'{norm.deviation:.2f}',
        f'{norm.noise.per_channel:.3f}' if norm.noise.snd else '',
        _percent(norm.noise.second_off),
        str(len(norm.dead) or ''),
    ]


def map_text(norm: NormDiagnosis) -> str:
    """Format the sizes of the maps, as '13×20' or '13×20–50×80'."""
    sizes = dict.fromkeys((norm.smallest_map, norm.largest_map))
    return '–'.join('×'.join(map(str, size)) or '1' for size in sizes)


def values_text(norm: NormDiagnosis) -> str:
    """Format the fewest values behind each statistic."""
    return ' '.join(f'{s.name} {s.values}' for s in norm.sizes.values())


def number(value: float) -> str:
    """Format to three digits, '∞', or '' for NaN."""
    if math.isnan(value):
        return ''
    if math.isinf(value):
        return '∞'
    return f'{value:.3g}' if value < 1000 else f'{value:,.0f}'


def _percent(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.0%}'
