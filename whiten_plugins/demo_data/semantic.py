"""The ADE20K and Cityscapes formats: a label map an image, as mmseg reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .pictures import IGNORED, Picture


@dataclass(frozen=True)
class Layout:
    """Where a semantic data set keeps its files and what its labels mean.

    Attributes:
        image: File name of an image, with ``{folder}``, ``{split}`` and
            ``{index}``.
        label: File name of its label map, likewise.
        folders: Folder name of each split.
        background: Label of the first class, which digits have on their
            photograph; digit d is ``background + 1 + d``.
        ignore: Label of pixels that do not count.
    """

    image: str
    label: str
    folders: dict[str, str]
    background: int
    ignore: int


ADE20K = Layout(
    image='images/{folder}/ADE_{split}_{index:08d}.jpg',
    label='annotations/{folder}/ADE_{split}_{index:08d}.png',
    folders=dict(train='training', val='validation'),
    background=1,
    ignore=0,
)
CITYSCAPES = Layout(
    image='leftImg8bit/{folder}/mini/mini_{index:06d}_000000_leftImg8bit.png',
    label='gtFine/{folder}/mini/mini_{index:06d}_000000_gtFine_labelTrainIds.png',
    folders=dict(train='train', val='val'),
    background=0,
    ignore=255,
)


def write_semantic(
    root: Path, split: str, pictures: Iterable[Picture], layout: Layout
) -> None:
    """Write a split's images and label maps.

    Args:
        root: Folder of the data set.
        split: 'train' or 'val'.
        pictures: The pictures, in the order of their file names.
        layout: File names and labels of the format.
    """
    for index, picture in enumerate(pictures, start=1):
        names = dict(folder=layout.folders[split], split=split, index=index)
        # Only sources whose pictures have labels come in these formats.
        assert picture.labels is not None
        image = root / layout.image.format(**names)
        label = root / layout.label.format(**names)
        image.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.image).save(image, quality=95)
        Image.fromarray(label_map(picture.labels, layout)).save(label)


def label_map(labels: np.ndarray, layout: Layout) -> np.ndarray:
    """Convert class numbers to those of a format.

    Args:
        labels: Classes from 0, or ``IGNORED``, (H, W), uint8.
        layout: What the labels mean.

    Returns:
        The labels of the format, (H, W), uint8.
    """
    ignored = labels == IGNORED
    return np.where(ignored, layout.ignore, labels + layout.background).astype(
        np.uint8
    )
