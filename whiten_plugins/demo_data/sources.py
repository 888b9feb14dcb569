"""The real pixels of the mini data set: scans and photographs from packages.

Both ship inside the wheels of scikit-learn and scikit-image, so nothing is
downloaded. The photographs are opened as files, since ``skimage.data`` would
ask the network for a picture that it does not find.
"""

from importlib.resources import files
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..utils.requirements import MissingPackageError
from .pictures import SPLITS

PHOTOS = (
    'astronaut.png',
    'brick.png',
    'camera.png',
    'chelsea.png',
    'coffee.png',
    'coins.png',
    'grass.png',
    'gravel.png',
    'hubble_deep_field.jpg',
    'rocket.jpg',
)

# One scan in VAL_EVERY is for validation, whatever the seed: mixing seeds
# never shows a validation scan to training.
VAL_EVERY = 5
TRAIN_SHARE = 2 / 3


class Sources(NamedTuple):
    """What the scenes of one split are made from.

    Attributes:
        scans (ndarray): Ink of the handwritten digits in [0, 1], (N, 8, 8).
        labels (ndarray): Their classes, the digits 0 to 9, (N,).
        scan_ids (ndarray): Their places in ``load_digits().images``, (N,).
        photos (list): RGB photographs, each (H, W, 3), uint8.
    """

    scans: np.ndarray
    labels: np.ndarray
    scan_ids: np.ndarray
    photos: list[np.ndarray]


def load_sources(split: str) -> Sources:
    """Load the scans and the photographs of a split.

    Train and val share neither a scan nor a pixel: every fifth scan is val's,
    and so is the last third of every photograph along its longer side.

    Args:
        split: 'train' or 'val'.

    Returns:
        The split's scans and photographs.

    Raises:
        MissingPackageError: If scikit-learn or scikit-image is not installed.
    """
    try:
        from sklearn.datasets import load_digits

        photos = files('skimage') / 'data'
    except ImportError as error:
        raise MissingPackageError(
            'the mini data set is made from the digits of scikit-learn and '
            f'the photographs of scikit-image, but {error}: '
            'pip install scikit-learn scikit-image'
        ) from error
    digits = load_digits()
    is_val = np.arange(len(digits.target)) % VAL_EVERY == VAL_EVERY - 1
    scan_ids = np.flatnonzero(is_val == (split == 'val'))
    return Sources(
        scans=(digits.images[scan_ids] / 16).astype(np.float32),
        labels=digits.target[scan_ids],
        scan_ids=scan_ids,
        photos=[_load_photo(photos / name, split) for name in PHOTOS],
    )


def _load_photo(path, split: str) -> np.ndarray:
    with path.open('rb') as file:
        photo = np.asarray(Image.open(file).convert('RGB'))
    longer = int(photo.shape[1] >= photo.shape[0])
    cut = round(photo.shape[longer] * TRAIN_SHARE)
    return np.split(photo, [cut], axis=longer)[SPLITS.index(split)]
