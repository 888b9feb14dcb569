"""Labels of one data set in terms of the classes of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class MapLabels:
    """Replace each label of a segmentation map by another.

    A network of Cityscapes' 19 classes can be tested on a data set with
    classes of its own: mmseg's data sets match classes by name alone, and
    several of Mapillary's 66 are one of Cityscapes'. Stands after
    ``LoadAnnotations`` in a pipeline::

        dict(type='MapLabels', labels=[255, 255, 1, 4, ...])

    Args:
        labels: the new label of 0, 1, 2, … in the file.
        ignored: label of all that ``labels`` does not reach. Default: 255,
            which losses and metrics leave out.
    """

    def __init__(self, labels: Sequence[int], ignored: int = 255) -> None:
        table = [*labels, *[ignored] * (256 - len(labels))]
        if len(table) != 256 or not all(0 <= new <= 255 for new in table):
            raise ValueError(
                'MapLabels: labels are at most 256 numbers from 0 to 255, got '
                f'{len(labels)} from {min(table)} to {max(table)}'
            )
        self.labels = tuple(labels)
        self.table = np.array(table, np.uint8)

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        if 'gt_seg_map' not in results:
            raise ValueError(
                'MapLabels: there is no gt_seg_map; place it after '
                'LoadAnnotations'
            )
        results['gt_seg_map'] = self.table[results['gt_seg_map']]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(labels={list(self.labels)})'
