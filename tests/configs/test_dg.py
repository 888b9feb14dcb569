"""configs/dg: what their networks are tested on."""

import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

from whiten_plugins.config.errors import ConfigError
from whiten_plugins.runner.test_sets import check_test_sets, find_test_sets

from .grid import load

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

DRIVING = 'dg/pspnet_r50-d8-sw14a_4xb2-80k_{}-512x1024'
WEATHER = 'dg/faster-rcnn_r50-sw14a_fpn_1x_{}'
# The first file of each data set, by image and annotation.
FILES = {
    'cityscapes': (
        'cityscapes/leftImg8bit/val/a_leftImg8bit.png',
        'cityscapes/gtFine/val/a_gtFine_labelTrainIds.png',
    ),
    'bdd100k': (
        'bdd100k/images/10k/val/a.jpg',
        'bdd100k/labels/sem_seg/masks/val/a.png',
    ),
    'mapillary': (
        'mapillary/validation/images/a.jpg',
        'mapillary/validation/v1.2/labels/a.png',
    ),
    'dark_zurich': (
        'dark_zurich/rgb_anon/val/night/GOPR0356/a_rgb_anon.png',
        'dark_zurich/gt/val/night/GOPR0356/a_gt_labelTrainIds.png',
    ),
    'night_driving': (
        'NighttimeDrivingTest/leftImg8bit/test/night/a_leftImg8bit.png',
        'NighttimeDrivingTest/gtCoarse_daytime_trainvaltest/test/night/'
        'a_gtCoarse_labelTrainIds.png',
    ),
}
# Mapillary's classes that Cityscapes has, as RobustNet's data set reads them.
SAME_AS = {
    'road': ['Road', 'Lane Marking - General', 'Manhole'],
    'sidewalk': ['Sidewalk', 'Curb'],
    'building': ['Building'],
    'wall': ['Wall'],
    'fence': ['Fence'],
    'pole': ['Pole', 'Utility Pole'],
    'traffic light': ['Traffic Light'],
    'traffic sign': ['Traffic Sign (Front)'],
    'vegetation': ['Vegetation'],
    'terrain': ['Terrain'],
    'sky': ['Sky'],
    'person': ['Person'],
    'rider': ['Bicyclist', 'Motorcyclist', 'Other Rider'],
    'car': ['Car'],
    'truck': ['Truck'],
    'bus': ['Bus'],
    'train': ['On Rails'],
    'motorcycle': ['Motorcycle'],
    'bicycle': ['Bicycle'],
}
XML = """<annotation><size><width>80</width><height>45</height></size>
<object><name>rider</name><bndbox><xmin>5</xmin><ymin>5</ymin>
<xmax>40</xmax><ymax>40</ymax></bndbox></object></annotation>"""


def write_image(path, channels=3, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (45, 80, channels) if channels > 1 else (45, 80)
    cv2.imwrite(str(path), np.full(shape, value, np.uint8))


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'data'


def labels_of(cfg, dataset):
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        sample = DATASETS.build(dataset)[0]
    return np.unique(sample['data_samples'].gt_sem_seg.data).tolist()


def test_driving_sets_are_read_in_mmsegs_layouts(data):
    cfg = load(DRIVING.format('cityscapes'))
    for name, (image, annotation) in FILES.items():
        write_image(data / image)
        # 61 is Mapillary's truck, 14 Cityscapes'.
        write_image(data / annotation, 1, 61 if name == 'mapillary' else 14)
    sets = find_test_sets(cfg, ['*'])
    check_test_sets(cfg, sets)
    assert [item.name for item in sets] == list(FILES)
    for item in sets:
        assert labels_of(cfg, item.dataloader.dataset) == [14], item.name


def test_mapillary_has_the_labels_of_cityscapes():
    from mmseg.datasets import CityscapesDataset, MapillaryDataset_v1

    dataset = load(DRIVING.format('gta5')).test_sets.mapillary.dataset
    (mapped,) = (s for s in dataset.pipeline if s.type == 'MapLabels')
    ours = CityscapesDataset.METAINFO['classes']
    for theirs, label in zip(
        MapillaryDataset_v1.METAINFO['classes'], mapped.labels, strict=True
    ):
        expected = [c for c, names in SAME_AS.items() if theirs in names]
        found = [] if label == 255 else [ours[label]]
        assert found == expected, theirs


def test_gta5_is_read_as_it_is_downloaded(data):
    dataset = load(DRIVING.format('gta5')).train_dataloader.dataset
    # Of Cityscapes' label ids; train ids 7 to 10.
    ids = {20: 7, 21: 8, 22: 9, 23: 10, 4: 255, 33: 18}
    steps = [s for s in dataset.pipeline if s.type.startswith(('L', 'M', 'P'))]
    dataset.pipeline = [s for s in steps if 'Distortion' not in s.type]
    for old, new in ids.items():
        write_image(data / 'gta/images/00001.png')
        write_image(data / 'gta/labels/00001.png', 1, old)
        cfg = load(DRIVING.format('gta5'))
        assert labels_of(cfg, dataset) == [new]


def test_weather_is_read_in_the_layout_of_voc(data):
    cfg = load(WEATHER.format('diverse-weather'))
    sets = find_test_sets(cfg, ['*'])
    for item in sets:
        folder = data / 'diverseWeather' / item.name / 'VOC2007'
        write_image(folder / 'JPEGImages' / 'a.jpg')
        for file, text in (
            ('Annotations/a.xml', XML),
            ('ImageSets/Main/test.txt', 'a\n'),
        ):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
    check_test_sets(cfg, sets)
    with DefaultScope.overwrite_default_scope('mmdet'):
        sample = DATASETS.build(sets[-1].dataloader.dataset)[0]
    assert sample['data_samples'].gt_instances.labels.tolist() == [5]


def test_coco_is_corrupted_in_75_ways():
    sets = find_test_sets(load(WEATHER.format('coco-c')), ['*'])
    ways = set()
    for item in sets[1:]:
        kinds = [step.type for step in item.dataloader.dataset.pipeline]
        assert kinds[:3] == ['LoadImageFromFile', 'Corrupt', 'Resize']
        corrupt = item.dataloader.dataset.pipeline[1]
        assert item.name == f'{corrupt.corruption}-{corrupt.severity}'
        ways.add((corrupt.corruption, corrupt.severity))
    assert len(ways) == 75
    clean = [step.type for step in sets[0].dataloader.dataset.pipeline]
    assert (sets[0].name, 'Corrupt' in clean) == ('clean', False)


def test_missing_data_is_named(data):
    cfg = load(DRIVING.format('gta5'))
    with pytest.raises(ConfigError, match='test set bdd100k: .*bdd100k'):
        check_test_sets(cfg, find_test_sets(cfg, ['bdd100k']))


@pytest.mark.parametrize(
    'config, seen',
    [
        (DRIVING.format('cityscapes'), ['cityscapes']),
        (DRIVING.format('gta5'), []),
        (WEATHER.format('diverse-weather'), ['daytime_clear']),
        (WEATHER.format('coco-c'), ['clean']),
    ],
)
def test_the_domain_of_the_training_is_marked(config, seen):
    sets = find_test_sets(load(config), ['*'])
    assert [item.name for item in sets if item.seen] == seen
    assert len(sets) - len(seen) >= 4
