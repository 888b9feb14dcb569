"""The COCO format, read back with pycocotools and mmdet."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from whiten_plugins.demo_data import CLASSES, make_mini_dataset
from whiten_plugins.demo_data.make import generate_scenes
from whiten_plugins.demo_data.outlines import TOLERANCE

SIZE = (120, 160)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('mini') / 'coco'
    make_mini_dataset(root, 'coco', num_train=8, num_val=4, size=SIZE, seed=3)
    return root


@pytest.fixture(scope='module')
def coco(root):
    return COCO(root / 'annotations/instances_train2017.json')


@pytest.fixture(scope='module')
def scenes():
    return list(generate_scenes('train', 8, SIZE, seed=3))


@pytest.fixture(scope='module')
def pairs(coco, scenes):
    """Every annotation with the instance it was made from."""
    annotations = coco.loadAnns(coco.getAnnIds())
    instances = [i for scene in scenes for i in scene.instances]
    assert len(annotations) == len(instances)
    return list(zip(annotations, instances))


def test_categories_are_the_digits_in_words(coco):
    categories = coco.loadCats(coco.getCatIds())
    assert tuple(c['name'] for c in categories) == CLASSES
    assert [c['id'] for c in categories] == list(range(1, 11))


def test_annotation_names_digit_and_scan(pairs):
    for annotation, instance in pairs:
        assert annotation['category_id'] == instance.label + 1
        assert annotation['scan_id'] == instance.scan_id


def test_polygons_agree_with_masks(coco, pairs):
    for annotation, instance in pairs:
        filled = coco.annToMask(annotation) == 1
        union = filled | instance.mask
        assert (filled & instance.mask).sum() / union.sum() > 0.95


def test_box_is_that_of_the_polygons_and_encloses_the_mask(pairs):
    for annotation, instance in pairs:
        x, y, width, height = annotation['bbox']
        points = np.concatenate(
            [np.reshape(p, (-1, 2)) for p in annotation['segmentation']]
        )
        assert points.min(0) == pytest.approx([x, y])
        assert points.max(0) == pytest.approx([x + width, y + height])
        rows, columns = np.nonzero(instance.mask)
        # The centre of every visible pixel is inside the outline, which
        # simplification may have moved by its tolerance.
        assert x <= columns.min() + 0.5 + TOLERANCE
        assert y <= rows.min() + 0.5 + TOLERANCE
        assert x + width >= columns.max() + 0.5 - TOLERANCE
        assert y + height >= rows.max() + 0.5 - TOLERANCE


def test_area_counts_the_visible_pixels(pairs):
    for annotation, instance in pairs:
        assert annotation['area'] == instance.mask.sum()


def test_splits_share_no_scan(root, coco):
    val = COCO(root / 'annotations/instances_val2017.json')
    train_ids, val_ids = (
        {a['scan_id'] for a in split.anns.values()} for split in (coco, val)
    )
    assert train_ids and val_ids and not train_ids & val_ids


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_ground_truth_evaluates_to_full_ap(coco, kind):
    keys = ('image_id', 'category_id', 'segmentation', 'bbox')
    results = [
        dict({key: a[key] for key in keys}, score=1.0)
        for a in coco.loadAnns(coco.getAnnIds())
    ]
    for result in results:
        result['segmentation'] = coco.annToRLE(result)
    if kind == 'bbox':
        results = [
            {k: r[k] for k in r if k != 'segmentation'} for r in results
        ]
    evaluation = COCOeval(coco, coco.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


@pytest.mark.parametrize(('split', 'count'), [('train', 8), ('val', 4)])
def test_mmdet_reads_it_with_the_usual_paths(root, split, count):
    dataset = CocoDataset(
        data_root=str(root),
        ann_file=f'annotations/instances_{split}2017.json',
        data_prefix=dict(img=f'{split}2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        metainfo=dict(classes=CLASSES),
        pipeline=[
            LoadImageFromFile(),
            LoadAnnotations(with_bbox=True, with_mask=True),
        ],
    )
    assert len(dataset) == count
    scenes = generate_scenes(split, count, SIZE, seed=3)
    for sample, scene in zip(dataset, scenes):
        labels = [instance.label for instance in scene.instances]
        assert sample['gt_bboxes_labels'].tolist() == labels
        assert sample['gt_masks'].masks.shape == (len(labels), *SIZE)
        difference = sample['img'][..., ::-1] - scene.image.astype(float)
        assert np.abs(difference).mean() < 4  # JPEG
