"""The studies, by name."""

from __future__ import annotations

from itertools import chain

from benchmarks.studies.study import Cell, Study
from benchmarks.studies.trainings import (
    DATA,
    DETECTOR,
    FROZEN,
    IMAGES,
    METRICS,
    NORMS,
    PRETRAINING,
    SEGMENTOR,
    SN_WITHOUT_BN,
    fine_tuning,
    pretrained,
    schedule,
    training,
)

SN_ROW, FROZEN_ROW = 'SN of in, ln', 'BN, frozen'
# The extremes first: an interrupted study has them.
_BATCHES = (1, 8, 2, 4)


def _from_scratch(batch_size: int) -> list[Cell]:
    config, column = SEGMENTOR, str(batch_size)
    cells = [
        training(
            config, row, column, {**options, **schedule(config, batch_size)}
        )
        for row, options in NORMS.items()
    ]
    if batch_size == 1:
        rest = schedule(config, 1)
        cells.append(
            training(config, SN_ROW, column, {**SN_WITHOUT_BN, **rest})
        )
    # Half of the images before, at 8 a batch, and half with the BN frozen.
    half = schedule(config, batch_size, PRETRAINING[config])
    start = pretrained(config, 'BN', NORMS['BN'])
    cells.append(
        training(config, FROZEN_ROW, column, {**FROZEN, **half}, start)
    )
    return cells


def _fine_tuned(batch_size: int) -> list[Cell]:
    rows = {**NORMS, SN_ROW: SN_WITHOUT_BN} if batch_size == 1 else NORMS
    cells = [
        fine_tuning(
            DETECTOR,
            row,
            batch_size,
            options,
            pretrained(DETECTOR, row, options),
        )
        for row, options in rows.items()
    ]
    start = pretrained(DETECTOR, 'BN', NORMS['BN'])
    cells.append(fine_tuning(DETECTOR, FROZEN_ROW, batch_size, FROZEN, start))
    return cells


STUDIES = {
    'small-batches-detection': Study(
        title='Small batches: detection',
        question='Who fails at one and two images a batch, and who holds? '
        '(SN Fig. 3 and Table 2, GW Fig. A2)',
        setting='Mask R-CNN (ResNet-18 of a quarter of the width, two FPN '
        'levels) on crops of 128 pixels of HeLa nuclei: from scratch on '
        f'{PRETRAINING[DETECTOR]} images at 8 a batch, then fine-tuned on '
        f'{IMAGES[DETECTOR]} at the batch size of the column. Every norm is '
        'of the one type, frozen BN and placed norms stand in the backbone; '
        'AP on 40 images.',
        columns='images a batch',
        metrics=METRICS[DETECTOR],
        cells=tuple(chain.from_iterable(map(_fine_tuned, _BATCHES))),
        data=DATA[DETECTOR],
        figure=True,
    ),
    'small-batches-segmentation': Study(
        title='Small batches: segmentation',
        question='Who fails at one and two images a batch, and who holds? '
        '(SN Fig. 3 and Table 2, GW Fig. A2)',
        setting='FCN (ResNet-18 of a quarter of the width, stride 8) from '
        'scratch on crops of 64 pixels of the Earth from space, 8 classes of '
        f'land cover: {IMAGES[SEGMENTOR]} images at every batch size. Frozen '
        'BN: half of them at 8 a batch before, half with the BN of the '
        'backbone frozen. mIoU on 100 images.',
        columns='images a batch',
        metrics=METRICS[SEGMENTOR],
        cells=tuple(chain.from_iterable(map(_from_scratch, _BATCHES))),
        data=DATA[SEGMENTOR],
        figure=True,
    ),
}
