"""The ADE20K and Cityscapes formats, read back with mmseg."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import ADE20KDataset, CityscapesDataset
from mmseg.datasets.transforms import LoadAnnotations

from whiten_plugins.demo_data import make_mini_dataset
from whiten_plugins.demo_data.digits import digit_labels, generate_scenes
from whiten_plugins.demo_data.scenes import Instance, Scene
from whiten_plugins.demo_data.semantic import ADE20K, CITYSCAPES, label_map

SIZE = (96, 128)
READERS = {
    'ade20k': (
        ADE20KDataset,
        dict(
            train=('images/training', 'annotations/training'),
            val=('images/validation', 'annotations/validation'),
        ),
    ),
    'cityscapes': (
        CityscapesDataset,
        dict(
            train=('leftImg8bit/train', 'gtFine/train'),
            val=('leftImg8bit/val', 'gtFine/val'),
        ),
    ),
}


@pytest.mark.parametrize('layout', [ADE20K, CITYSCAPES])
def test_photograph_digit_and_ring_have_their_labels(layout):
    coverage = np.zeros((9, 9), np.float32)
    coverage[3:6, 3:6] = 1
    scene = Scene(
        image=np.zeros((9, 9, 3), np.uint8),
        instances=[Instance(7, 0, coverage, coverage.sum())],
    )
    expected = np.full((9, 9), layout.background)
    expected[2:7, 2:7] = layout.ignore
    expected[3:6, 3:6] = layout.background + 1 + 7
    assert np.array_equal(label_map(digit_labels(scene), layout), expected)


@pytest.fixture(scope='module', params=READERS)
def data_set(request, tmp_path_factory):
    root = tmp_path_factory.mktemp('mini') / request.param
    make_mini_dataset(root, request.param, num_train=3, num_val=2, size=SIZE)
    return request.param, root


@pytest.mark.parametrize(('split', 'count'), [('train', 3), ('val', 2)])
def test_mmseg_reads_photograph_as_0_and_digits_as_1_to_10(
    data_set, split, count
):
    name, root = data_set
    reader, folders = READERS[name]
    images, labels = folders[split]
    dataset = reader(
        data_root=str(root),
        data_prefix=dict(img_path=images, seg_map_path=labels),
        pipeline=[LoadImageFromFile(), LoadAnnotations()],
    )
    assert len(dataset) == count
    for sample, scene in zip(dataset, generate_scenes(split, count, SIZE, 0)):
        assert sample['img'].shape == (*SIZE, 3)
        seen = sample['gt_seg_map']
        for instance in scene.instances:
            assert (seen[instance.mask] == instance.label + 1).all()
        digits = np.any([i.mask for i in scene.instances], axis=0)
        assert set(np.unique(seen[~digits])) == {0, 255}


def test_images_are_named_as_in_the_original(data_set):
    name, root = data_set
    expected = {
        'ade20k': 'annotations/validation/ADE_val_00000002.png',
        'cityscapes': 'gtFine/val/mini/'
        'mini_000002_000000_gtFine_labelTrainIds.png',
    }
    assert (root / expected[name]).is_file()
