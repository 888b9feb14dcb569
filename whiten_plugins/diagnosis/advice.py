"""Sentences from numbers: what to change, by the limits of one table."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..analysis.layer_names import locate
from ..analysis.limits import LIMITS
from ..analysis.norm_warnings import (
    describe_starved,
    remedy_of_starved,
    starved,
)
from .results import Advice, NormDiagnosis
from .what_if import WhatIf

SUGGESTIONS = ('correlated',)
"""Advice that names no fault."""


class _Finding(NamedTuple):
    """What a rule found in one norm.

    Holds the number, the finding in words and, where it depends on the norm,
    the remedy.
    """

    number: float
    text: str
    remedy: str = ''


def advise(norms: Iterable[NormDiagnosis]) -> list[Advice]:
    """Check every norm against every limit.

    Norms of one type in the same part and stage of the network share a
    sentence, which has the number of the worst of them.

    Args:
        norms: in forward order.

    Returns:
        list[Advice]: Faults first, then suggestions; each in the order of
        the network.
    """
    found: dict[tuple, list[tuple[NormDiagnosis, _Finding]]] = {}
    for norm in norms:
        for problem, rule in _RULES.items():
            finding = rule(norm)
            if finding is not None:
                place = locate(norm.name)[:2]
                key = (problem, norm.info.type, *place)
                found.setdefault(key, []).append((norm, finding))
    advice = [_sentence(key[0], group) for key, group in found.items()]
    return sorted(advice, key=lambda a: a.problem in SUGGESTIONS)


def _sentence(
    problem: str, group: list[tuple[NormDiagnosis, _Finding]]
) -> Advice:
    limit = LIMITS[problem]
    less_is_worse = problem in ('short of one', 'singular groups')
    pick = min if less_is_worse else max
    worst, finding = pick(group, key=lambda item: item[1].number)
    names = tuple(norm.name for norm, _ in group)
    place = f'{worst.name} ({worst.info.type})'
    if len(names) > 1:
        place = f'{_common(names)} ({len(names)} {worst.info.type})'
        if _common(names) != worst.name:
            place += f', worst in {worst.name}'
    return Advice(
        problem,
        names,
        finding.number,
        limit.value,
        f'{place}: {finding.text}: {finding.remedy or limit.remedy}.',
    )


def _common(names: tuple[str, ...]) -> str:
    """Return the part of the network that contains all of these."""
    parts = [name.split('.') for name in names]
    shared = os.path.commonprefix(parts)
    return '.'.join(shared) or 'the network'


def _constraints(norm: NormDiagnosis) -> _Finding | None:
    size = starved(norm.sizes)
    if size is None or size.constraints <= size.variables:
        return None
    text = describe_starved(size)
    groups = norm.before.groups
    if groups is not None and groups.rank < groups.rows:
        text += f' (rank {groups.rank} of {groups.rows} measured)'
    return _Finding(
        size.constraints / size.variables,
        text,
        remedy_of_starved(size, norm.info.channels),
    )


def _few_values(norm: NormDiagnosis) -> _Finding | None:
    size = starved(norm.sizes)
    if size is None or size.constraints > size.variables:
        return None
    return _Finding(
        -size.values / size.rows,
        describe_starved(size),
        remedy_of_starved(size, norm.info.channels),
    )


def _batch_noise(norm: NormDiagnosis) -> _Finding | None:
    noise = norm.noise.per_channel
    if not noise > LIMITS['batch noise'].value:
        return None
    return _Finding(
        noise,
        f'{_values(norm)}, so that outputs change by {noise:.2f} deviations '
        f'with the batch{_and_running(norm)}',
    )


def _values(norm: NormDiagnosis) -> str:
    sizes = [s for s in norm.sizes.values() if s.name in ('bn', 'bw')]
    if not sizes:
        return 'batch statistics'
    fewest = min(size.values for size in sizes)
    return f'batch statistics over {fewest} values a channel'


def _and_running(norm: NormDiagnosis) -> str:
    off = norm.noise.second_off
    if not norm.updated or not off > LIMITS['running statistics'].value:
        return ''
    return f' and the running {_second(norm)} is {off:.0%} off'


def _second(norm: NormDiagnosis) -> str:
    kinds = {'bw': 'covariance', 'bn': 'variance'}
    first = next((s for s in norm.info.statistics if s in kinds), 'bn')
    return kinds[first]


def _running(norm: NormDiagnosis) -> _Finding | None:
    if not norm.updated:
        return None  # in training nothing reads it, or see _never_filled
    limit = LIMITS['running statistics'].value
    mean, second = norm.noise.mean_off, norm.noise.second_off
    number = max(mean, second)
    if not number > limit:
        return None
    parts = []
    if second > limit:
        parts.append(f'the running {_second(norm)} is {second:.0%} off')
    if mean > limit:
        parts.append(f'the running mean is {mean:.2f} deviations off')
    text = f'{_values(norm)}; {" and ".join(parts)}'
    if norm.info.evaluating:
        text += ', and it is frozen so'
    return _Finding(number, text)


def _never_filled(norm: NormDiagnosis) -> _Finding | None:
    if norm.updated is not False or not norm.info.evaluating:
        return None
    return _Finding(
        norm.noise.second_off,
        'normalizes by running statistics that nothing ever filled (mean 0, '
        f'variance 1); the {_second(norm)} of this data is '
        f'{norm.noise.second_off:.0%} off',
    )


def _frozen_start(norm: NormDiagnosis) -> _Finding | None:
    off = norm.noise.from_batch
    frozen = norm.info.evaluating and norm.info.trainable is False
    if not (frozen and norm.at_start and norm.updated):
        return None
    if not off > LIMITS['frozen start'].value:
        return None
    return _Finding(
        off,
        f'is frozen with equal ratios, {off:.2f} deviations from what its '
        'weights were trained with',
    )


def _same_statistics(norm: NormDiagnosis) -> _Finding | None:
    stats = set(norm.sizes)
    pairs = [{'bn', 'in'}, {'bw', 'iw'}]
    pair = next((p for p in pairs if p <= stats), None)
    if pair is None or norm.at_start is None:
        return None  # no ratio of the two to learn
    batch, sample = sorted(pair)
    values = norm.sizes[batch].values, norm.sizes[sample].values
    if norm.samples > 1 or values[0] != values[1]:
        return None
    return _Finding(1.0, f'with one image a batch {batch} equals {sample}')


def _not_finite(norm: NormDiagnosis) -> _Finding | None:
    total = norm.skipped + norm.before.elements
    if not norm.skipped:
        return None
    return _Finding(
        norm.skipped / total,
        f'{norm.skipped} of {total} elements are NaN or infinite',
    )


def _dead(norm: NormDiagnosis) -> _Finding | None:
    if not norm.dead:
        return None
    shown = ', '.join(map(str, norm.dead[:8]))
    more = ', …' if len(norm.dead) > 8 else ''
    return _Finding(
        float(len(norm.dead)),
        f'{len(norm.dead)} of {norm.info.channels} channels do not vary '
        f'({shown}{more})',
    )


def _singular(norm: NormDiagnosis) -> _Finding | None:
    groups, whitens = norm.before.groups, {'bw', 'iw', 'gw'}
    if groups is None or not whitens & set(norm.info.statistics):
        return None
    if groups.rank == groups.rows or starved(norm.sizes) or norm.dead:
        return None
    share = groups.rank / groups.rows
    return _Finding(share, f'groups of {groups.rows} have rank {groups.rank}')


def _short(norm: NormDiagnosis) -> _Finding | None:
    alone = norm.info.statistics in (('bw',), ('iw',), ('gw',))
    limit = LIMITS['short of one'].value
    fine = norm.info.evaluating or starved(norm.sizes) or norm.dead
    if not alone or fine or not norm.deviation < limit:
        return None
    return _Finding(
        norm.deviation,
        f'whitened channels reach a deviation of {norm.deviation:.2f}',
    )


def _correlated(norm: NormDiagnosis) -> _Finding | None:
    now = norm.after.condition.k90
    choices = [w for w in norm.what_if if _is_stable(w, norm)]
    ill = now > LIMITS['ill-conditioned'].value
    if not choices or not ill or not norm.info.trainable:
        return None
    best = min(choices, key=lambda w: w.condition.k90)
    ratio = now / best.condition.k90
    if not LIMITS['correlated'].value < ratio < float('inf'):
        return None
    setting = 'num_groups' if best.norm == 'GW' else 'num_pergroup'
    return _Finding(
        ratio,
        f'condition (90 %) {norm.before.condition.k90:,.0f} before and '
        f'{now:,.0f} after the norm',
        f'{best.norm}({setting}={best.size}, T={best.T}) would reach '
        f'{best.condition.k90:,.0f}',
    )


def _is_stable(choice: WhatIf, norm: NormDiagnosis) -> bool:
    """Return whether whitening has the values that it needs here."""
    values = math.prod(norm.smallest_map)
    if choice.norm == 'BW':
        values *= norm.samples
    if choice.norm == 'GW':
        values *= norm.info.channels // choice.size
    enough = values >= LIMITS['few values'].value * choice.size
    return enough and choice.condition.k90 > 0


def _axes(norm: NormDiagnosis) -> _Finding | None:
    if norm.whitening != 'pca':
        return None
    if not norm.axis_swaps > LIMITS['axis swaps'].value:
        return None
    return _Finding(
        norm.axis_swaps,
        f'{norm.axis_swaps:.0%} of the axes of PCA change places from batch '
        'to batch',
    )


_RULES: dict[str, Callable[[NormDiagnosis], _Finding | None]] = {
    'constraints': _constraints,
    'few values': _few_values,
    'never filled': _never_filled,
    'frozen start': _frozen_start,
    'batch noise': _batch_noise,
    'running statistics': _running,
    'same statistics': _same_statistics,
    'not finite': _not_finite,
    'dead channels': _dead,
    'singular groups': _singular,
    'short of one': _short,
    'axis swaps': _axes,
    'correlated': _correlated,
}
