"""The studies, by name."""

from __future__ import annotations

from itertools import chain

from benchmarks.studies import on_digits as digits
from benchmarks.studies.cost import cost_cells
from benchmarks.studies.detection import ABLATIONS_STUDY, CONVERSION_STUDY
from benchmarks.studies.mini import MINI_DETECTION, MINI_SEGMENTATION
from benchmarks.studies.robustness import ROBUSTNESS
from benchmarks.studies.study import CONDITION, Cell, Metric, Study
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


_SMALL = {row: [norm] for row, norm in digits.NORMS.items()}
_PLACED = {
    f'{row} first, then BN': [digits.NORMS[row], digits.BN, digits.BN]
    for row in ('SW', 'GW')
}
_SN_DIGITS = {SN_ROW: [dict(type='SN', stats=('in', 'ln'))]}
_LEARN_RATIOS = {row: _SMALL[row] for row in ('SN', 'SW')}
_ACCURACY = Metric('accuracy', 'accuracy, %', 100)
_DIGITS = (
    "Three convolutions with norms on scikit-learn's handwritten digits, "
    '1,200 images an epoch, a step from every 8 of them; accuracy on 597.'
)
_STEP = (
    'Every step takes the mean gradient of 8 images, whatever the batch: '
    'only the normalization sees fewer.'
)


def _sizes(norm: str, argument: str, values: tuple[int, ...]) -> dict:
    """Return a row for every value of one argument of a norm."""
    return {
        f'{norm}, {argument} {value}': [
            {**digits.NORMS[norm], argument: value}
        ]
        for value in values
    }


def _conditioning(title: str, question: str, rows: dict) -> Study:
    """Return a study of accuracy beside the condition after the norms."""
    return Study(
        title=title,
        question=question,
        setting=f'{_DIGITS} One epoch of 8 images a batch.',
        columns='images a batch',
        metrics=(_ACCURACY, CONDITION),
        cells=digits.cells(rows, {'8': 8}, digits.conditioned),
    )


STUDIES = {
    'small-batches-digits': Study(
        title='Small batches: classification',
        question='Who fails at one and two images a batch, and who holds? '
        '(SN Fig. 3, GW Fig. A2)',
        setting=f'{_DIGITS} One epoch. {_STEP}',
        columns='images a batch',
        metrics=(
            _ACCURACY,
            Metric('mean bn', 'share of bn in the mean of SN, %', 100),
            Metric('mean bw', 'share of bw in the mean of SW, %', 100),
        ),
        cells=(
            *digits.cells(
                {**_SMALL, **_PLACED},
                {str(size): (size,) for size in (1, 2, 4, 8)},
                digits.learned,
            ),
            *digits.cells(_SN_DIGITS, {'1': (1,)}, digits.learned),
        ),
        figure=True,
    ),
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
    'ratios': Study(
        title='Ratios: fine-tuning at another batch size',
        question='Do ratios follow the batch size of the fine-tuning, or '
        'keep that of the pre-training? (SN Fig. 14)',
        setting=f'{_DIGITS} Two epochs, each at its own batch size. {_STEP}',
        columns='images a batch, before and after',
        metrics=(
            Metric('mean bn', 'share of bn in the mean, %', 100),
            Metric('var bn', 'share of bn in the variance, %', 100),
            Metric('mean bw', 'share of bw in the mean, %', 100),
        ),
        cells=digits.cells(
            _LEARN_RATIOS,
            {f'{a}, {b}': (a, b) for a in (8, 1) for b in (8, 1)},
            digits.learned,
        ),
    ),
    'ratios-optimizer': Study(
        title='Ratios: optimizer',
        question='Do ratios depend on the optimizer? (SN 4.1.3)',
        setting=f'{_DIGITS} Two epochs of 8 images a batch.',
        columns='optimizer',
        metrics=(
            _ACCURACY,
            Metric('mean bn', 'share of bn in the mean, %', 100),
            Metric('mean bw', 'share of bw in the mean, %', 100),
        ),
        cells=digits.cells(
            _LEARN_RATIOS, {'Adam': 'Adam', 'SGD': 'SGD'}, digits.learned_by
        ),
    ),
    'hard-ratios': Study(
        title='Hard ratios',
        question='What do hard ratios cost? (SN Table 3)',
        setting=f'{_DIGITS} Two epochs with soft ratios; every layer then '
        'keeps its preferred statistic alone: as it is, fine-tuned for an '
        'epoch, or from scratch. Folded: fine-tuned, its norms merged into '
        'the convolutions where they chose batch statistics.',
        columns='ratios',
        metrics=(
            _ACCURACY,
            Metric('milliseconds', 'milliseconds for 64 images', digits=2),
        ),
        cells=digits.cells(
            _LEARN_RATIOS,
            {
                how: how
                for how in (
                    'soft',
                    'hard',
                    'fine-tuned',
                    'from scratch',
                    'folded',
                )
            },
            digits.hardened,
        ),
    ),
    'moving-average': Study(
        title='Moving and batch averages',
        question='Are batch averages of the statistics better than moving '
        'ones? (SN Fig. 6)',
        setting=f'{_DIGITS} One epoch; the same network is tested with its '
        'moving averages and with averages over the training images.',
        columns='images a batch, average',
        metrics=(_ACCURACY,),
        cells=digits.cells(
            {row: _SMALL[row] for row in ('BN', 'SN', 'SW')},
            {
                f'{size}, {name}': (size, average)
                for size in (2, 8)
                for name, average in (('moving', False), ('batch', True))
            },
            digits.averaged,
        ),
    ),
    'newton-iterations': _conditioning(
        'Newton iterations',
        'Do few and many iterations both hurt? (ItN supplement, Fig. 1)',
        {
            **_sizes('ItN', 'T', (1, 3, 5, 7, 9)),
            **_sizes('SW', 'T', (1, 3, 5, 7, 9)),
        },
    ),
    'group-sizes': _conditioning(
        'Groups',
        'How many groups of GW, how many channels in a group of SW? '
        '(GW Fig. 2 and Table 1, SW section 4)',
        {
            **_sizes('GW', 'num_groups', (1, 2, 4, 8, 16, 32)),
            **_sizes('SW', 'num_pergroup', (1, 2, 4, 8, 16)),
        },
    ),
    'conversion': Study(
        title='Conversion',
        question='What does a BN network lose when it becomes another, and '
        'does it pay against training from scratch?',
        setting=f'{_DIGITS} Two epochs with BN, whose weights and statistics '
        'the other norm takes; an epoch of fine-tuning at a fifth of the '
        'learning rate, as long from scratch.',
        columns='start',
        metrics=(
            _ACCURACY,
            Metric(
                'accuracy at the start', 'accuracy before fine-tuning, %', 100
            ),
            Metric('features off', 'features off at the start, %', 100),
        ),
        cells=digits.cells(
            _SMALL,
            {how: how for how in ('from BN', 'from scratch')},
            digits.converted,
        ),
    ),
    'cost': Study(
        title='Cost',
        question='What does a training step cost? (SW Tables 1 and 2, GW A2 '
        'and A3, ItN Table 1)',
        setting='Forward and backward of one norm on 8 images, in turns with '
        'a 3 × 3 convolution of as many channels, which is the unit; median '
        'of 15 rounds. Memory: the peak of such a step. One thread.',
        columns='channels × map',
        metrics=(
            Metric('time', 'time, in convolutions', digits=2),
            Metric('memory', 'memory, in convolutions', digits=2),
        ),
        cells=cost_cells(),
        alone=True,
    ),
    'robustness': ROBUSTNESS,
    'ablations-detection': ABLATIONS_STUDY,
    'conversion-detection': CONVERSION_STUDY,
    'mini-detection': MINI_DETECTION,
    'mini-segmentation': MINI_SEGMENTATION,
}
