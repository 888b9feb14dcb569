"""MapLabels: labels in the classes of another data set."""

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

import whiten_plugins  # noqa: F401  registers it


def build(labels, **settings):
    return TRANSFORMS.build(dict(type='MapLabels', labels=labels, **settings))


def test_labels_are_replaced_and_the_others_ignored():
    seg_map = np.array([[0, 1, 2], [3, 200, 255]], np.uint8)
    results = build([7, 255, 0])(dict(gt_seg_map=seg_map, other=1))
    expected = [[7, 255, 0], [255, 255, 255]]
    np.testing.assert_array_equal(results['gt_seg_map'], expected)
    assert results['gt_seg_map'].dtype == np.uint8
    assert results['other'] == 1
    assert seg_map[0, 0] == 0


def test_another_label_for_what_is_not_listed():
    results = build([1], ignored=9)(dict(gt_seg_map=np.array([0, 5])))
    assert results['gt_seg_map'].tolist() == [1, 9]


@pytest.mark.parametrize('labels', [[256], [-1], [0] * 257])
def test_impossible_labels_are_refused(labels):
    with pytest.raises(ValueError, match='MapLabels: labels are at most 256'):
        build(labels)


def test_a_pipeline_without_annotations_is_told_so():
    with pytest.raises(ValueError, match='place it after LoadAnnotations'):
        build([0])(dict(img=1))
