"""Making a mini data set: the one way from arguments to a finished folder."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import track

from . import manifest
from .coco import write_coco
from .scenes import Scene, compose_scene
from .semantic import ADE20K, CITYSCAPES, write_semantic
from .sources import SPLITS, load_sources

FORMATS = {
    'coco': write_coco,
    'ade20k': partial(write_semantic, layout=ADE20K),
    'cityscapes': partial(write_semantic, layout=CITYSCAPES),
}
MIN_SIDE = 64


def make_mini_dataset(
    out: str | Path,
    format: str = 'coco',
    *,
    num_train: int = 800,
    num_val: int = 80,
    size: tuple[int, int] = (160, 160),
    seed: int = 0,
    progress: bool = False,
) -> bool:
    """Makes handwritten digits on photographs, or finds them made already.

    The pixels are real: the 1,797 scans of scikit-learn's ``load_digits``
    and pictures bundled with scikit-image. Train and val share neither scans
    nor photograph pixels. Image k of a split depends on the seed, the size
    and k alone, so all formats show the same scenes.

    ========== ============================ ==========================
    format     read by                      labels
    ========== ============================ ==========================
    coco       mmdet's ``CocoDataset``      category d + 1 is digit d
    ade20k     mmseg's ``ADE20KDataset``    0 ignored, 1 photograph,
                                            d + 2 digit d
    cityscapes mmseg's                      255 ignored, 0 photograph,
               ``CityscapesDataset``        d + 1 digit d
    ========== ============================ ==========================

    The folder appears under its name only when it is complete.

    Args:
        out: Folder to make; it may exist if it is empty or holds this very
            data set.
        format: A key of ``FORMATS``.
        num_train: Training images.
        num_val: Validation images.
        size: Height and width of the images in pixels.
        seed: Seed of every random choice.
        progress: Whether to draw a progress bar on the terminal.

    Returns:
        Whether the data set was made; False if ``out`` held it already.

    Raises:
        ValueError: If an argument is out of its range.
        FileExistsError: If ``out`` holds anything else.
        ImportError: If scikit-learn or scikit-image is not installed.
    """
    _check_arguments(format, num_train, num_val, size, seed)
    arguments = dict(
        format=format,
        num_train=num_train,
        num_val=num_val,
        size=list(size),
        seed=seed,
    )
    out = Path(out).resolve()
    if manifest.is_made(out, arguments):
        return False
    # In the nearest folder there is, so that the rename stays on one disk
    # and a failure leaves not even an empty parent.
    nearest = next(p for p in out.parents if p.exists())
    with tempfile.TemporaryDirectory(dir=nearest, prefix='.mini-') as staging:
        root = Path(staging) / out.name
        root.mkdir()
        for split, count in zip(SPLITS, (num_train, num_val)):
            scenes = track(
                generate_scenes(split, count, size, seed),
                f'{format} {split}',
                total=count,
                disable=not progress,
            )
            FORMATS[format](root, split, scenes)
        manifest.write(root, arguments)
        out.parent.mkdir(parents=True, exist_ok=True)
        root.rename(out)
    return True


def generate_scenes(
    split: str, count: int, size: tuple[int, int], seed: int
) -> Iterator[Scene]:
    """Yields the scenes of a split, each with a generator of its own."""
    sources = load_sources(split)
    for index in range(count):
        rng = np.random.default_rng([seed, SPLITS.index(split), index])
        yield compose_scene(sources, size, rng)


def _check_arguments(
    format: str, num_train: int, num_val: int, size: tuple[int, int], seed: int
) -> None:
    if format not in FORMATS:
        raise ValueError(
            f'format must be one of {", ".join(FORMATS)}, got {format!r}'
        )
    for name, value, least in (
        ('num_train', num_train, 1),
        ('num_val', num_val, 1),
        ('seed', seed, 0),
    ):
        if value < least:
            raise ValueError(f'{name} must be at least {least}, got {value}')
    if len(size) != 2 or min(size) < MIN_SIDE:
        raise ValueError(
            f'size must be a height and a width of at least {MIN_SIDE} '
            f'pixels, got {tuple(size)}'
        )
