"""Annotated pictures, and crops of them: what the formats are written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .outlines import outline

IGNORED = 255  # label of pixels that do not count
SPLITS = ('train', 'val')
MIN_PIXELS = 16  # of what a crop leaves of an object


class Annotation(NamedTuple):
    """An object in a picture.

    Attributes:
        label: its class, from 0.
        bbox: left, top, width, height in pixels.
        polygons: its outline, each part (P, 2); None if the source has boxes
            alone.
        area: in pixels.
        extra: more keys for COCO's file.
    """

    label: int
    bbox: list[float]
    polygons: list[np.ndarray] | None
    area: int
    extra: dict


@dataclass
class Picture:
    """An image and what is known of it.

    Attributes:
        image: RGB, (H, W, 3), uint8.
        annotations: its objects.
        labels: the class of every pixel from 0, or ``IGNORED``, (H, W),
            uint8; None if the source has none.
    """

    image: np.ndarray
    annotations: list[Annotation] = field(default_factory=list)
    labels: np.ndarray | None = None


class Region(NamedTuple):
    """A part of a source's pictures that belongs to one split.

    Attributes:
        picture: which picture.
        top, left, bottom, right: the part of it.
    """

    picture: int
    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left


def random_crop(
    regions: list[Region], size: tuple[int, int], rng: np.random.Generator
) -> Region:
    """Choose a crop, each place with the same probability.

    Args:
        regions: the parts that the split may show.
        size: height and width of the crop.
        rng: the source of every random choice.

    Raises:
        ValueError: if no region is that large.
    """
    fitting = [
        region
        for region in regions
        if region.size[0] >= size[0] and region.size[1] >= size[1]
    ]
    if not fitting:
        largest = max(regions, key=lambda r: min(r.size)).size
        raise ValueError(
            f'size must be at most {largest[0]} by {largest[1]} pixels for '
            f'this source, got {size[0]} by {size[1]}'
        )
    places = np.array(
        [
            (r.size[0] - size[0] + 1) * (r.size[1] - size[1] + 1)
            for r in fitting
        ]
    )
    region = fitting[rng.choice(len(fitting), p=places / places.sum())]
    top = region.top + int(rng.integers(region.size[0] - size[0] + 1))
    left = region.left + int(rng.integers(region.size[1] - size[1] + 1))
    return Region(region.picture, top, left, top + size[0], left + size[1])


def from_masks(masks: np.ndarray, label: int = 0) -> list[Annotation]:
    """Annotate the objects in a map of their numbers.

    Args:
        masks: (H, W); 0 where there is none.
        label: the class of all.
    """
    found = []
    for number in np.unique(masks[masks > 0]):
        mask = masks == number
        if mask.sum() < MIN_PIXELS:
            continue
        # Outlines close inside the array, also at the edge of a crop.
        polygons = [
            polygon.astype(float) - 1
            for polygon in outline(np.pad(mask, 1).astype(np.float32))
        ]
        rows, columns = np.nonzero(mask)
        left, top = float(columns.min()), float(rows.min())
        bbox = [
            left,
            top,
            float(columns.max() + 1) - left,
            float(rows.max() + 1) - top,
        ]
        area = int(mask.sum())
        found.append(Annotation(label, bbox, polygons, area, {}))
    return found


def from_boxes(
    boxes: np.ndarray, crop: Region, visible: float = 0.5
) -> list[Annotation]:
    """Annotate boxes of a whole picture as a crop shows them.

    Args:
        boxes: left, top, right, bottom, (N, 4).
        crop: the crop.
        visible: share of a box that must be inside.
    """
    corners = np.array([crop.left, crop.top, crop.right, crop.bottom])
    inside = np.concatenate(
        [
            np.maximum(boxes[:, :2], corners[:2]),
            np.minimum(boxes[:, 2:], corners[2:]),
        ],
        axis=1,
    )
    sides = (inside[:, 2:] - inside[:, :2]).clip(0)
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept = sides.prod(1) >= np.maximum(visible * whole, MIN_PIXELS)
    return [
        Annotation(
            0,
            [*(box[:2] - corners[:2]).tolist(), *side.tolist()],
            None,
            int(side.prod()),
            {},
        )
        for box, side in zip(inside[kept], sides[kept])
    ]
