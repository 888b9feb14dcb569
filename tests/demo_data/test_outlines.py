"""Outlines: COCO's pixel convention, holes, parts, few points."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from whiten_plugins.demo_data.outlines import outline


def disc(centre, radius, size=64):
    """Coverage of a disc with soft edges."""
    y, x = np.mgrid[:size, :size] + 0.5
    distance = np.hypot(x - centre[0], y - centre[1])
    return np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)


def fill(polygons, size=64):
    rings = [polygon.ravel().tolist() for polygon in polygons]
    encoded = coco_mask.frPyObjects(rings, size, size)
    return coco_mask.decode(coco_mask.merge(encoded)).astype(bool)


def iou(one, two):
    return (one & two).sum() / (one | two).sum()


RING = disc((32, 32), 20) - disc((32, 32), 10)
EIGHT = disc((32, 32), 30) - disc((32, 18), 7) - disc((32, 46), 7)
RING_AND_DISC = disc((20, 20), 15) - disc((20, 20), 8) + disc((48, 48), 10)


def test_first_pixel_spans_zero_to_one():
    coverage = np.zeros((10, 12), np.float32)
    coverage[2:6, 3:8] = 1
    (polygon,) = outline(coverage)
    assert polygon.min(0).tolist() == [3, 2]
    assert polygon.max(0).tolist() == [8, 6]


@pytest.mark.parametrize(
    ('coverage', 'parts'),
    [(disc((30, 34), 12.3), 1), (RING, 1), (EIGHT, 1), (RING_AND_DISC, 2)],
    ids=['disc', 'ring', 'eight', 'ring and disc'],
)
def test_filled_outline_is_the_mask(coverage, parts):
    polygons = outline(coverage)
    assert len(polygons) == parts
    assert iou(fill(polygons), coverage > 0.5) > 0.96


def test_opencv_fills_the_hole_as_a_hole_too():
    (polygon,) = outline(RING)
    canvas = np.zeros(RING.shape, np.uint8)
    cv2.fillPoly(canvas, [np.rint(polygon - 0.5).astype(np.int32)], 1)
    assert canvas[32, 32] == 0
    assert iou(canvas == 1, RING > 0.5) > 0.9


def test_a_smooth_outline_needs_few_points():
    (polygon,) = outline(disc((32, 32), 20))
    assert len(polygon) < 40


def test_nothing_visible_has_no_outline():
    assert outline(np.zeros((8, 8), np.float32)) == []
