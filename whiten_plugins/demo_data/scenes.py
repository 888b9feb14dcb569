"""Scenes: handwritten digits composed on crops of photographs.

A scan is enlarged smoothly and cut where the ink is half: its stroke. A scene
keeps, for every digit, the share of each pixel that its stroke still covers
after the digits above it were painted; masks, outlines and label maps of all
formats come from this one array.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .sources import Sources

DIGITS_PER_IMAGE = (2, 4)
DIGIT_HEIGHT = (0.28, 0.50)  # of the image's shorter side
MAX_TILT = 5.0  # degrees
MIN_VISIBLE = 0.95  # of a digit's stroke
MIN_PART = 4  # pixels; smaller visible parts are not annotated
CROP_SCALE = (0.6, 1.0)  # of the largest crop with the image's aspect ratio
BACKDROP = 0.6  # brightness left to a photograph, so that digits stand out
SATURATION = (0.0, 0.5)
BRIGHTNESS = (0.9, 1.0)
INK_THRESHOLD = 0.45  # keeps thin strokes whole and small holes open

_TRIES = 50
_ENLARGE = 16  # pixels per scan cell before the scan is placed
_SCAN_CELLS = 8


@dataclass
class Instance:
    """A digit in a scene.

    Attributes:
        label: The digit, 0 to 9.
        scan_id: Its place in ``sklearn.datasets.load_digits().images``.
        coverage: Share of each pixel its visible stroke covers, (H, W).
        stroke_area: Area of the whole stroke, hidden parts too, in pixels.
    """

    label: int
    scan_id: int
    coverage: np.ndarray
    stroke_area: float

    @property
    def mask(self) -> np.ndarray:
        """The visible pixels, (H, W), bool; disjoint between instances."""
        return self.coverage > 0.5


@dataclass
class Scene:
    """An RGB image (H, W, 3), uint8, and its digits from back to front."""

    image: np.ndarray
    instances: list[Instance]


def compose_scene(
    sources: Sources, size: tuple[int, int], rng: np.random.Generator
) -> Scene:
    """Place two to four digits on a photograph.

    A digit lies wholly inside the image and hides at most a twentieth of
    any other's stroke; one that finds no such place in 50 tries is left out.

    Args:
        sources: The split's scans and photographs.
        size: Height and width of the image in pixels.
        rng: The source of every random choice.

    Returns:
        The scene.
    """
    image = BACKDROP * _crop_photo(sources.photos, size, rng)
    instances: list[Instance] = []
    low, high = DIGITS_PER_IMAGE
    for _ in range(rng.integers(low, high + 1)):
        _add_digit(image, instances, sources, rng)
    for instance in instances:
        _drop_specks(instance.coverage)
    return Scene(np.rint(image).astype(np.uint8), instances)


def _crop_photo(
    photos: list[np.ndarray], size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Cut a random crop and resize it to the image's size, float32."""
    photo = photos[rng.integers(len(photos))]
    height, width = size
    largest = min(photo.shape[0] / height, photo.shape[1] / width)
    scale = largest * rng.uniform(*CROP_SCALE)
    crop_h, crop_w = round(height * scale), round(width * scale)
    top = rng.integers(photo.shape[0] - crop_h + 1)
    left = rng.integers(photo.shape[1] - crop_w + 1)
    crop = photo[top : top + crop_h, left : left + crop_w]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    crop = cv2.resize(
        np.ascontiguousarray(crop), (width, height), None, 0, 0, method
    )
    return crop.astype(np.float32)


def _add_digit(
    image: np.ndarray,
    instances: list[Instance],
    sources: Sources,
    rng: np.random.Generator,
) -> None:
    """Paint one more digit and hide what lies under it."""
    for _ in range(_TRIES):
        scan = rng.integers(len(sources.labels))
        coverage = _place(sources.scans[scan], image.shape[:2], rng)
        if _fits(coverage, instances):
            break
    else:
        return
    _paint(image, coverage, rng)
    for below in instances:
        below.coverage *= 1 - coverage
    instances.append(
        Instance(
            label=int(sources.labels[scan]),
            scan_id=int(sources.scan_ids[scan]),
            coverage=coverage,
            stroke_area=float(coverage.sum()),
        )
    )


def _place(
    scan: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Scale, tilt and move a scan; return the coverage of its stroke."""
    height, width = size
    digit = min(size) * rng.uniform(*DIGIT_HEIGHT)
    cell = digit / _SCAN_CELLS
    enlarged = cv2.resize(
        np.pad(scan, 1), None, None, _ENLARGE, _ENLARGE, cv2.INTER_CUBIC
    )
    centre = (enlarged.shape[0] - 1) / 2
    matrix = cv2.getRotationMatrix2D(
        (centre, centre), rng.uniform(-MAX_TILT, MAX_TILT), cell / _ENLARGE
    )
    margin = digit / 2
    matrix[0, 2] += rng.uniform(margin, width - margin) - centre
    matrix[1, 2] += rng.uniform(margin, height - margin) - centre
    ink = cv2.warpAffine(enlarged, matrix, (width, height))
    # Ink falls from full to none over about one cell.
    return np.clip((ink - INK_THRESHOLD) * cell + 0.5, 0, 1)


def _fits(coverage: np.ndarray, instances: list[Instance]) -> bool:
    """Return whether a stroke is in the image and leaves others visible."""
    frame = np.ones(coverage.shape, bool)
    frame[1:-1, 1:-1] = False
    if coverage[frame].any():
        return False
    return all(
        np.vdot(below.coverage, 1 - coverage)
        >= MIN_VISIBLE * below.stroke_area
        for below in instances
    )


def _paint(
    image: np.ndarray, coverage: np.ndarray, rng: np.random.Generator
) -> None:
    """Paint a stroke in a bright pastel."""
    hue = rng.uniform(0, 360)
    hsv = np.array(
        [hue, rng.uniform(*SATURATION), rng.uniform(*BRIGHTNESS)], np.float32
    )
    colour = cv2.cvtColor(hsv[None, None], cv2.COLOR_HSV2RGB)[0, 0] * 255
    image += coverage[..., None] * (colour - image)


def _drop_specks(coverage: np.ndarray) -> None:
    """Uncover visible parts too small to annotate, in place."""
    visible = (coverage > 0.5).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(
        visible, connectivity=4
    )
    specks = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < MIN_PART)
    coverage[np.isin(parts, specks)] = 0
