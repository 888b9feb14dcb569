"""Trained on clean images, tested on images under photometric shifts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.studies.study import MIOU, Cell, Start, Study
from benchmarks.studies.trainings import (
    CONFIGS,
    DATA,
    IMAGES,
    NORMS,
    SEGMENTOR,
    placed,
    schedule,
    training,
)

SHIFTED = f'{CONFIGS}/segmentor_shifted.py'
# The transform in that config.
SHIFT = 'test_dataloader.dataset.pipeline.1'
CLEAN = 'none'


def _enhanced(kind: str, magnitude: float) -> dict[str, Any]:
    """Return a transform of mmdet at one magnitude; 1 is the image."""
    return dict(
        type=f'mmdet.{kind}', prob=1.0, min_mag=magnitude, max_mag=magnitude
    )


SHIFTS: dict[str, dict[str, Any]] = {
    'half the brightness': _enhanced('Brightness', 0.5),
    'half the contrast': _enhanced('Contrast', 0.5),
    'half the colour': _enhanced('Color', 0.5),
    'no colour': _enhanced('Color', 0.0),
    'gamma 2': dict(type='AdjustGamma', gamma=2.0),
}
ROWS: dict[str, Mapping[str, Any]] = {
    'BN': NORMS['BN'],
    'BN, IBN at ibn-a': placed('ibn-a', type='IBN'),
    'BN, ItN at sw14': placed('sw14', type='ItN'),
    'BN, SW at sw14': NORMS['BN, SW at sw14'],
    'SN': NORMS['SN'],
}


def _cells() -> Iterator[Cell]:
    for row, options in ROWS.items():
        rest = {**options, **schedule(SEGMENTOR, 8)}
        trained = training(SEGMENTOR, row, CLEAN, rest)
        yield trained
        for column, shift in SHIFTS.items():
            given = {f'{SHIFT}.{key}': value for key, value in shift.items()}
            yield Cell(
                row,
                column,
                SHIFTED,
                {**options, **given},
                Start(trained),
                test_only=True,
            )


ROBUSTNESS = Study(
    title='Domain generalization: photometric shifts',
    question='Do layers that mix instance statistics lose less under shifts '
    'of brightness, contrast and colour that training never showed? '
    '([IBN-Net](https://arxiv.org/abs/1807.09441))',
    setting='The segmentor of the small batches, trained on '
    f'{IMAGES[SEGMENTOR]} clean images at 8 a batch and tested on the same '
    '100 images of another region as they are and under one shift each. Sync '
    'norms are the local ones in a single process.',
    columns='shift',
    metrics=MIOU,
    cells=tuple(_cells()),
    data=DATA[SEGMENTOR],
)
