"""What a detector reaches with other groups, iterations, places, starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from benchmarks.studies.study import AP, CONDITION, Cell, Study
from benchmarks.studies.trainings import (
    DATA,
    DETECTOR,
    IMAGES,
    LEARNING_RATE,
    NORMS,
    PRETRAINING,
    Options,
    norm,
    placed,
    pretrained,
    schedule,
    training,
)

_BATCH_SIZE = 8
_ALL_IMAGES = PRETRAINING[DETECTOR] + IMAGES[DETECTOR]
_GW = dict(type='GW', num_groups=8)

ABLATIONS: dict[str, Options] = {
    'BN': NORMS['BN'],
    **{
        f'GW, num_groups {groups}': norm(type='GW', num_groups=groups)
        for groups in (1, 2, 4, 8, 16)
    },
    **{
        f'SW, num_pergroup {rows}': norm(type='SW', num_pergroup=rows)
        for rows in (1, 2, 4, 8, 16)
    },
    **{f'SW, T {T}': norm(type='SW', T=T) for T in (1, 3, 7, 9)},
    **{
        f'BN, SW at {place}': placed(place, type='SW')
        for place in ('s1b1', 's1b2', 'sw14', 'sw7')
    },
    **{
        f'BN, GW at {place}': placed(place, **_GW)
        for place in ('s1', 's1b1', 's1b2')
    },
}
CONVERTED: dict[str, Options] = {
    'BN': NORMS['BN'],
    'SN': NORMS['SN'],
    'SW': NORMS['SW'],
    'SW, T 9': norm(type='SW', T=9),
    'GW': NORMS['GW'],
    'ItN': norm(type='ItN'),
    'BW': norm(type='BW'),
}


def _scratch(row: str, options: Mapping[str, object], column: str) -> Cell:
    """Return a training from scratch on all images."""
    rest = schedule(DETECTOR, _BATCH_SIZE, _ALL_IMAGES)
    return training(DETECTOR, row, column, {**options, **rest})


def _conversions() -> Iterator[Cell]:
    start = pretrained(DETECTOR, 'BN', NORMS['BN'])
    rest = schedule(DETECTOR, _BATCH_SIZE, rate=LEARNING_RATE[DETECTOR] / 2)
    for row, options in CONVERTED.items():
        converted = Cell(row, 'converted', DETECTOR, options, start)
        yield replace(converted, test_only=True)
        yield training(DETECTOR, row, 'fine-tuned', {**options, **rest}, start)
        yield _scratch(row, options, 'from scratch')


_SETTING = (
    f'The detector of the small batches, {_BATCH_SIZE} images a batch, AP on '
    '40 images.'
)

ABLATIONS_STUDY = Study(
    title='Groups, iterations and places: detection',
    question='Which sizes of groups, how many iterations, and where? (GW '
    'Fig. 2 and 4, SW section 4, ItN supplement)',
    setting=f'{_SETTING} From scratch on {_ALL_IMAGES} images. The condition '
    'of the covariance over all channels after each norm, as `whiten '
    'diagnose` finds it on two batches, the median over norms with at least '
    'eight times as many elements as channels.',
    columns='images a batch',
    metrics=(*AP, CONDITION),
    cells=tuple(
        replace(_scratch(row, options, str(_BATCH_SIZE)), diagnosed=True)
        for row, options in ABLATIONS.items()
    ),
    data=DATA[DETECTOR],
)
CONVERSION_STUDY = Study(
    title='Conversion: detection',
    question='What does a BN detector lose when it becomes another, and does '
    'it pay against training from scratch?',
    setting=f'{_SETTING} BN from scratch on {PRETRAINING[DETECTOR]} images; '
    'its weights and statistics in a network of the norm of the row, as they '
    f'are and fine-tuned on {IMAGES[DETECTOR]} images; from scratch on as '
    'many as both.',
    columns='start',
    metrics=AP,
    cells=tuple(_conversions()),
    data=DATA[DETECTOR],
)
