"""Making a mini data set: the one way from arguments to a finished folder."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.progress import track

from ..utils.files import check_folder, nearest_folder, staging_folder
from . import manifest
from .coco import write_coco
from .digits import CLASSES, digit_pictures, generate_scenes
from .pictures import SPLITS, Picture
from .provenance import write_provenance
from .real import REAL_SOURCES
from .semantic import ADE20K, CITYSCAPES, write_semantic

__all__ = ['FORMATS', 'SOURCES', 'generate_scenes', 'make_mini_dataset']

FORMATS = {
    'coco': None,
    'ade20k': ADE20K,
    'cityscapes': CITYSCAPES,
}
MIN_SIDE = 64
_DIGITS = 'digits'
SOURCES = (_DIGITS, *REAL_SOURCES)


class Defaults(NamedTuple):
    """What a source makes unless told otherwise."""

    num_train: int
    num_val: int
    size: tuple[int, int]


DEFAULTS = {
    _DIGITS: Defaults(800, 80, (160, 160)),
    'nuclei': Defaults(200, 40, (256, 256)),
    'trees': Defaults(200, 40, (256, 256)),
    'landcover': Defaults(400, 80, (128, 128)),
}


def make_mini_dataset(
    out: str | Path,
    format: str = 'coco',
    *,
    source: str = _DIGITS,
    num_train: int | None = None,
    num_val: int | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> bool:
    """Make a small data set of real pixels, or find it made already.

    ========= =============================================== ============
    source    shows                                           formats
    ========= =============================================== ============
    digits    the 1,797 scans of scikit-learn's               all
              ``load_digits`` on photographs bundled with
              scikit-image
    nuclei    nuclei of HeLa cells, with masks                all
    trees     tree crowns from above, with boxes              coco
    landcover the Earth from space, 8 classes                 ade20k,
                                                              cityscapes
    ========= =============================================== ============

    Digits come with packages that are installed; the others are fetched once,
    see :mod:`.real`. Train and val share neither scans nor neighbouring
    pixels. Image k of a split depends on the source, the seed, the size and k
    alone, so all formats show the same.

    ========== ============================ ==========================
    format     read by                      labels
    ========== ============================ ==========================
    coco       mmdet's ``CocoDataset``      category c + 1 is class c
    ade20k     mmseg's ``ADE20KDataset``    0 ignored, c + 1 class c
    cityscapes mmseg's                      255 ignored, c class c
               ``CityscapesDataset``
    ========== ============================ ==========================

    In the label maps, class 0 is the photograph under the digits and the
    background of the nuclei, before the classes that coco has.

    The folder appears under its name only when it is complete. Where real
    pictures are from stands in it, with their licence.

    Args:
        out: Folder to make; it may exist if it is empty or holds this very
            data set.
        format: A key of ``FORMATS``.
        source: One of ``SOURCES``.
        num_train: Training images. Default: that of ``DEFAULTS``, as for the
            next two.
        num_val: Validation images.
        size: Height and width of the images in pixels.
        seed: Seed of every random choice.
        progress: Whether to draw a progress bar on the terminal.

    Returns:
        Whether the data set was made; False if ``out`` held it already.

    Raises:
        ValueError: If an argument is out of its range.
        FileExistsError: If ``out`` holds anything else.
        MissingPackageError: If scikit-learn or scikit-image is not installed.
        FetchError: If a package is neither cached nor can be fetched.
    """
    if source not in SOURCES:
        raise ValueError(
            f'source must be one of {", ".join(SOURCES)}, got {source!r}'
        )
    default = DEFAULTS[source]
    num_train = default.num_train if num_train is None else num_train
    num_val = default.num_val if num_val is None else num_val
    size = default.size if size is None else size
    _check_arguments(format, source, num_train, num_val, size, seed)
    arguments = dict(
        format=format,
        num_train=num_train,
        num_val=num_val,
        size=list(size),
        seed=seed,
    )
    if source != _DIGITS:
        arguments['source'] = source
    out = Path(out).resolve()
    if manifest.is_made(out, arguments):
        return False
    check_folder(out)
    # In the nearest folder there is, so that the rename stays on one disk
    # and a failure leaves not even an empty parent.
    nearest = nearest_folder(out.parent)
    with staging_folder(nearest, '.mini-', out) as staging:
        root = staging / out.name
        root.mkdir()
        for split, count in zip(SPLITS, (num_train, num_val)):
            pictures = track(
                _pictures(source)(split, count, tuple(size), seed),
                f'{format} {split}',
                total=count,
                disable=not progress,
            )
            _write(root, split, pictures, source, format)
        if source != _DIGITS:
            write_provenance(root, REAL_SOURCES[source], format)
        manifest.write(root, arguments)
        out.parent.mkdir(parents=True, exist_ok=True)
        root.rename(out)
    return True


def _pictures(source: str) -> Callable[..., Iterator[Picture]]:
    if source == _DIGITS:
        return digit_pictures
    return REAL_SOURCES[source].pictures


def _write(
    root: Path,
    split: str,
    pictures: Iterable[Picture],
    source: str,
    format: str,
) -> None:
    layout = FORMATS[format]
    if layout is not None:
        write_semantic(root, split, pictures, layout)
        return
    if source == _DIGITS:
        write = partial(
            write_coco,
            classes=CLASSES,
            description='mini data set of digits',
            supercategory='digit',
        )
    else:
        write = partial(
            write_coco,
            classes=REAL_SOURCES[source].classes,
            description=f'mini data set of {source}',
            supercategory=source,
        )
    write(root, split, pictures)


def _check_arguments(
    format: str,
    source: str,
    num_train: int,
    num_val: int,
    size: tuple[int, int],
    seed: int,
) -> None:
    if format not in FORMATS:
        raise ValueError(
            f'format must be one of {", ".join(FORMATS)}, got {format!r}'
        )
    real = REAL_SOURCES.get(source)
    if real is not None and format not in real.formats:
        raise ValueError(
            f'{source} can be had as {" or ".join(real.formats)}, for its '
            f'annotations are no others; got {format!r}'
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
