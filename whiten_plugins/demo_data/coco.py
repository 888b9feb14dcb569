"""The COCO format: instance polygons, as mmdet's ``CocoDataset`` reads."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from .outlines import outline
from .scenes import Instance, Scene

CLASSES = (
    'zero',
    'one',
    'two',
    'three',
    'four',
    'five',
    'six',
    'seven',
    'eight',
    'nine',
)


def write_coco(root: Path, split: str, scenes: Iterable[Scene]) -> None:
    """Writes a split under COCO 2017's names.

    ``{split}2017/`` holds the images, ``annotations/`` the file
    ``instances_{split}2017.json``. Category d + 1 is the digit d. Beyond
    COCO's keys, an annotation names its ``scan_id``.

    Args:
        root: Folder of the data set.
        split: 'train' or 'val'.
        scenes: The scenes, in the order of the image ids.
    """
    image_dir = root / f'{split}2017'
    image_dir.mkdir()
    images, annotations = [], []
    for image_id, scene in enumerate(scenes, start=1):
        height, width = scene.image.shape[:2]
        name = f'{image_id:012d}.jpg'
        Image.fromarray(scene.image).save(image_dir / name, quality=95)
        images.append(
            dict(id=image_id, file_name=name, height=height, width=width)
        )
        for instance in scene.instances:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    **_annotation(instance),
                )
            )
    categories = [
        dict(id=i, name=name, supercategory='digit')
        for i, name in enumerate(CLASSES, start=1)
    ]
    content = dict(
        info=dict(description=f'mini data set of digits, {split}'),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=categories,
    )
    annotation_dir = root / 'annotations'
    annotation_dir.mkdir(exist_ok=True)
    path = annotation_dir / f'instances_{split}2017.json'
    path.write_text(json.dumps(content))


def _annotation(instance: Instance) -> dict:
    polygons = [p.round(2).astype(float) for p in outline(instance.coverage)]
    points = np.concatenate(polygons)
    left, top = points.min(0)
    width, height = points.max(0) - (left, top)
    return dict(
        category_id=instance.label + 1,
        segmentation=[p.round(2).ravel().tolist() for p in polygons],
        area=int(instance.mask.sum()),
        bbox=np.round([left, top, width, height], 2).tolist(),
        iscrowd=0,
        scan_id=instance.scan_id,
    )
