"""Outlines: COCO polygons of a digit's visible stroke."""

import cv2
import numpy as np

TOLERANCE = 0.2  # pixels an outline may move when it is simplified


def outline(coverage: np.ndarray) -> list[np.ndarray]:
    """Trace where a stroke covers half a pixel.

    A COCO polygon cannot have a hole. The hole of a 0 is joined to the outer
    outline by a cut of no width, which both pycocotools and OpenCV fill as a
    hole.

    Args:
        coverage: Share of each pixel that is covered, (H, W), in [0, 1]; zero
            on the frame of the image.

    Returns:
        A polygon a part, each (P, 2): x, y in COCO's convention, in which
        the first pixel is the square from 0 to 1.
    """
    from skimage.measure import find_contours

    contours = [_simplify(c) for c in find_contours(coverage, 0.5)]
    parts = [c for c in contours if _signed_area(c) > 0]
    holes = [c for c in contours if _signed_area(c) < 0]
    return [_cut_out(part, holes) for part in parts]


def _simplify(contour: np.ndarray) -> np.ndarray:
    """Turn (row, column) of pixel centres into a few COCO points."""
    points = (contour[:-1, ::-1] + 0.5).astype(np.float32)
    return cv2.approxPolyDP(points, TOLERANCE, closed=True)[:, 0]


def _signed_area(contour: np.ndarray) -> float:
    """Return the enclosed area, negative for a hole."""
    return cv2.contourArea(contour, oriented=True)


def _cut_out(part: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Join the holes inside a part to it, each where it is nearest."""
    whole = part
    for hole in holes:
        inside = cv2.pointPolygonTest(part, hole[0].tolist(), False) > 0
        if inside:
            gaps = np.linalg.norm(whole[:, None] - hole, axis=-1)
            i, j = np.unravel_index(gaps.argmin(), gaps.shape)
            whole = np.concatenate(
                [whole[: i + 1], hole[j:], hole[: j + 1], whole[i:]]
            )
    return whole
