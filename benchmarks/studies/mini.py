"""The mini configs on digits, as they are in ``configs/mini``."""

from __future__ import annotations

from typing import Any

from benchmarks.studies.study import AP, MIOU, SHARES, Cell, Study
from benchmarks.studies.trainings import Options, norm

_CONFIGS = 'configs/mini'
_DETECTOR = f'{_CONFIGS}/mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco.py'
_SEGMENTORS = {
    'PSPNet, SW': (
        f'{_CONFIGS}/pspnet_r18-d8_sw_1xb16-1000i_mini-ade20k.py',
        'ade20k',
    ),
    'DeepLabV3, SN': (
        f'{_CONFIGS}/deeplabv3_r18-d8_sn_1xb16-1000i_mini-cityscapes.py',
        'cityscapes',
    ),
}
_NORMS = ('BN', 'SN', 'SW', 'GW')
_LOADERS = ('train', 'val', 'test')


def _folder(layout: str) -> str:
    return f'digits_{layout}'


def _data(layout: str) -> dict[str, dict[str, Any]]:
    return {_folder(layout): dict(source='digits', format=layout)}


def _training(
    config: str, row: str, column: str, layout: str, options: Options
) -> Cell:
    """Return the training of a config, its data set in the study's folder."""
    root = f'data/studies/{_folder(layout)}/'
    given: Options = {'train_cfg.max_iters': int(column.split()[0])}
    for loader in _LOADERS:
        given[f'{loader}_dataloader.dataset.data_root'] = root
        # A run is one process, which may not have others.
        given[f'{loader}_dataloader.num_workers'] = 0
        given[f'{loader}_dataloader.persistent_workers'] = False
    if layout == 'coco':
        annotations = f'{root}annotations/instances_val2017.json'
        for loader in _LOADERS[1:]:
            given[f'{loader}_evaluator.ann_file'] = annotations
    return Cell(row, column, config, {**options, **given})


MINI_DETECTION = Study(
    title='Digits on photographs: detection',
    question='Which norm learns most from scratch in a few hundred steps?',
    setting='The Mask R-CNN of `configs/mini` (ResNet-18, FPN of 64 '
    'channels) from scratch on handwritten digits on photographs, 400 '
    'iterations of 4 images of 160 pixels, every norm of the one type; AP on '
    '80 images.',
    columns='iterations',
    metrics=(*AP, *SHARES),
    cells=tuple(
        _training(_DETECTOR, name, '400', 'coco', norm(type=name))
        for name in _NORMS
    ),
    data=_data('coco'),
)
MINI_SEGMENTATION = Study(
    title='Digits on photographs: segmentation',
    question='Do the segmentors of `configs/mini` learn?',
    setting='A quarter of the width of ResNet-18, from scratch on the same '
    'digits, 1000 iterations of 16 crops of 80 pixels; mIoU of ten digits '
    'and of the photograph, if it is a class, on 80 images, on which the '
    'settings were chosen.',
    columns='iterations',
    metrics=MIOU,
    cells=tuple(
        _training(config, row, '1000', layout, {})
        for row, (config, layout) in _SEGMENTORS.items()
    ),
    data={**_data('ade20k'), **_data('cityscapes')},
)
