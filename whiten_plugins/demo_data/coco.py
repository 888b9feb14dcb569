"""The COCO format: instances, as mmdet's ``CocoDataset`` reads."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from .pictures import Annotation, Picture


def write_coco(
    root: Path,
    split: str,
    pictures: Iterable[Picture],
    classes: Sequence[str],
    *,
    description: str,
    supercategory: str,
) -> None:
    """Write a split under COCO 2017's names.

    ``{split}2017/`` holds the images, ``annotations/`` the file
    ``instances_{split}2017.json``. Category 1 is the first class.

    Args:
        root: Folder of the data set.
        split: 'train' or 'val'.
        pictures: The pictures, in the order of the image ids.
        classes: Names of the classes.
        description: What the file says of the data set.
        supercategory: What the classes are kinds of.
    """
    image_dir = root / f'{split}2017'
    image_dir.mkdir()
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id, picture in enumerate(pictures, start=1):
        height, width = picture.image.shape[:2]
        file_name = f'{image_id:012d}.jpg'
        Image.fromarray(picture.image).save(image_dir / file_name, quality=95)
        images.append(
            dict(id=image_id, file_name=file_name, height=height, width=width)
        )
        for annotation in picture.annotations:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    **_as_dict(annotation),
                )
            )
    categories = [
        dict(id=i, name=class_name, supercategory=supercategory)
        for i, class_name in enumerate(classes, start=1)
    ]
    content = dict(
        info=dict(description=f'{description}, {split}'),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=categories,
    )
    annotation_dir = root / 'annotations'
    annotation_dir.mkdir(exist_ok=True)
    path = annotation_dir / f'instances_{split}2017.json'
    path.write_text(json.dumps(content))


def _as_dict(annotation: Annotation) -> dict:
    polygons = annotation.polygons
    outline = {}
    if polygons is not None:
        flat = [polygon.round(2).ravel().tolist() for polygon in polygons]
        outline = dict(segmentation=flat)
    return dict(
        category_id=annotation.label + 1,
        **outline,
        area=annotation.area,
        bbox=[round(side, 2) for side in annotation.bbox],
        iscrowd=0,
        **annotation.extra,
    )
