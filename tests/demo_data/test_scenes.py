"""Composed scenes: digits true to their scans, visible, inside the image."""

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from whiten_plugins.demo_data.scenes import (
    MIN_PART,
    MIN_VISIBLE,
    compose_scene,
)
from whiten_plugins.demo_data.sources import load_sources


@pytest.fixture(scope='module')
def sources():
    return load_sources('train')


@pytest.fixture(scope='module')
def scenes(sources):
    rngs = map(np.random.default_rng, range(20))
    return [compose_scene(sources, (128, 160), rng) for rng in rngs]


def test_scene_has_the_size_asked_for(scenes):
    for scene in scenes:
        assert scene.image.shape == (128, 160, 3)
        assert scene.image.dtype == np.uint8


def test_scene_has_two_to_four_digits(scenes):
    assert {len(scene.instances) for scene in scenes} == {2, 3, 4}


def test_digit_is_labelled_and_drawn_as_its_scan(scenes):
    digits = load_digits()
    instances = [i for scene in scenes for i in scene.instances]
    for instance in instances:
        assert instance.label == digits.target[instance.scan_id]
    # A mirrored or turned digit correlates with its scan by about 0.2.
    likeness = [_likeness(i, digits.images) for i in instances]
    assert np.median(likeness) > 0.5


def _likeness(instance, scans):
    """Correlation of a mask with its scan, both cut to their ink."""
    scan = scans[instance.scan_id] > 7
    drawn = _cut(instance.mask.astype(np.float32))
    size = drawn.shape[::-1]
    expected = cv2.resize(_cut(scan.astype(np.float32)), size)
    return np.corrcoef(drawn.ravel(), expected.ravel())[0, 1]


def _cut(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_masks_are_disjoint(scenes):
    for scene in scenes:
        assert sum(i.mask.astype(int) for i in scene.instances).max() == 1


def test_digits_occlude_each_other_a_little(scenes):
    shares = np.array(
        [
            instance.coverage.sum() / instance.stroke_area
            for scene in scenes
            for instance in scene.instances
        ]
    )
    assert MIN_VISIBLE <= shares.min() < 1
    assert np.median(shares) > 0.99


def test_digits_touch_no_border(scenes):
    for scene in scenes:
        for instance in scene.instances:
            assert not instance.coverage[[0, -1]].any()
            assert not instance.coverage[:, [0, -1]].any()


def test_no_visible_part_is_a_speck(scenes):
    for scene in scenes:
        for instance in scene.instances:
            visible = instance.mask.astype(np.uint8)
            parts = cv2.connectedComponentsWithStats(visible, connectivity=4)
            assert parts[2][1:, cv2.CC_STAT_AREA].min() >= MIN_PART


def test_strokes_stand_out_from_the_photograph(scenes):
    """A digit's brightness differs from that of the pixels around it."""
    steps = []
    for scene in scenes:
        luma = cv2.cvtColor(scene.image, cv2.COLOR_RGB2GRAY).astype(float)
        free = ~np.any([i.coverage > 0 for i in scene.instances], axis=0)
        for instance in scene.instances:
            near = cv2.dilate(instance.mask.astype(np.uint8), np.ones((9, 9)))
            around = luma[(near == 1) & free].mean()
            steps.append(abs(luma[instance.mask].mean() - around))
    assert np.median(steps) > 40


def test_scene_is_the_same_for_the_same_generator(sources):
    one, two = (
        compose_scene(sources, (96, 96), np.random.default_rng(7))
        for _ in range(2)
    )
    assert np.array_equal(one.image, two.image)


def test_small_and_long_images_work(sources):
    for size in ((64, 64), (64, 256), (256, 64)):
        scene = compose_scene(sources, size, np.random.default_rng(0))
        assert scene.image.shape[:2] == size
        assert scene.instances
