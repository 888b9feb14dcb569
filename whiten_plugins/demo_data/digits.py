"""The digits: scenes as annotated pictures."""

from collections.abc import Iterator

import cv2
import numpy as np

from .outlines import outline
from .pictures import IGNORED, SPLITS, Annotation, Picture
from .scenes import Instance, Scene, compose_scene
from .sources import load_sources

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


def generate_scenes(
    split: str, count: int, size: tuple[int, int], seed: int
) -> Iterator[Scene]:
    """Yield the scenes of a split, each with a generator of its own."""
    sources = load_sources(split)
    for index in range(count):
        rng = np.random.default_rng([seed, SPLITS.index(split), index])
        yield compose_scene(sources, size, rng)


def digit_pictures(
    split: str, count: int, size: tuple[int, int], seed: int
) -> Iterator[Picture]:
    """Yield the pictures of a split.

    Class 0 of the labels is the photograph, d + 1 the digit d.
    """
    for scene in generate_scenes(split, count, size, seed):
        annotations = [_annotation(instance) for instance in scene.instances]
        yield Picture(scene.image, annotations, digit_labels(scene))


def digit_labels(scene: Scene) -> np.ndarray:
    """Label every pixel of a scene.

    The ring of background pixels next to a digit, which its soft edge tints,
    is ignored.

    Returns:
        The labels, (H, W), uint8.
    """
    labels = np.zeros(scene.image.shape[:2], np.uint8)
    digits = np.zeros_like(labels)
    for instance in scene.instances:
        labels[instance.mask] = 1 + instance.label
        digits[instance.mask] = 1
    ring = cv2.dilate(digits, np.ones((3, 3), np.uint8)) - digits
    labels[ring == 1] = IGNORED
    return labels


def _annotation(instance: Instance) -> Annotation:
    """Annotate a digit; beyond COCO's keys, name its ``scan_id``."""
    polygons = [p.round(2).astype(float) for p in outline(instance.coverage)]
    points = np.concatenate(polygons)
    left, top = points.min(0)
    width, height = points.max(0) - (left, top)
    return Annotation(
        label=instance.label,
        bbox=np.round([left, top, width, height], 2).tolist(),
        polygons=polygons,
        area=int(instance.mask.sum()),
        extra=dict(scan_id=instance.scan_id),
    )
