"""The ADE20K and Cityscapes formats: a label map an image, as mmseg reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .scenes import Scene


@dataclass(frozen=True)
class Layout:
    """Where a semantic data set keeps its files and what its labels mean.

    Attributes:
        image: File name of an image, with ``{folder}``, ``{split}`` and
            ``{index}``.
        label: File name of its label map, likewise.
        folders: Folder name of each split.
        background: Label of the photograph; digit d is ``background + 1 + d``.
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
    root: Path, split: str, scenes: Iterable[Scene], layout: Layout
) -> None:
    """Writes a split's images and label maps.

    Args:
        root: Folder of the data set.
        split: 'train' or 'val'.
        scenes: The scenes, in the order of their file names.
        layout: File names and labels of the format.
    """
    for index, scene in enumerate(scenes, start=1):
        names = dict(folder=layout.folders[split], split=split, index=index)
        image = root / layout.image.format(**names)
        label = root / layout.label.format(**names)
        image.parent.mkdir(parents=True, exist_ok=True)
        label.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.image).save(image, quality=95)
        Image.fromarray(label_map(scene, layout)).save(label)


def label_map(scene: Scene, layout: Layout) -> np.ndarray:
    """Labels every pixel of a scene.

    The ring of background pixels next to a digit, which its soft edge tints,
    is ignored.

    Args:
        scene: The scene.
        layout: What the labels mean.

    Returns:
        The labels, (H, W), uint8.
    """
    labels = np.full(scene.image.shape[:2], layout.background, np.uint8)
    digits = np.zeros_like(labels)
    for instance in scene.instances:
        labels[instance.mask] = layout.background + 1 + instance.label
        digits[instance.mask] = 1
    ring = cv2.dilate(digits, np.ones((3, 3), np.uint8)) - digits
    labels[ring == 1] = layout.ignore
    return labels
