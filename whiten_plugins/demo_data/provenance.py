"""Where the pictures of a data set are from, beside them."""

import zipfile
from pathlib import Path

from ..utils.packages import Package, fetch
from .real import COVERS, RealSource

NAME = 'SOURCE.md'


def write_provenance(root: Path, source: RealSource, format: str) -> None:
    """Write ``SOURCE.md`` and the licences of the packages into a data set.

    Args:
        root: Folder of the data set.
        source: What it is made from.
        format: Format of the data set.
    """
    lines = [source.about, '']
    for package in source.packages:
        lines += [
            f'- {package.requirement} from {package.registry}, file '
            f'`{package.file}`, SHA-256 `{package.sha256}`',
            f'  licence as stated: {package.licence}',
        ]
        for name, text in _licences(package):
            (root / name).write_bytes(text)
            lines.append(f'  text: `{name}`')
    lines += ['', f'Classes: {", ".join(_classes(source, format))}.']
    lines += [
        'Train and val are cut from different parts of each picture, with a '
        'gap between them.'
    ]
    (root / NAME).write_text('\n'.join(lines) + '\n', encoding='utf-8')


def _classes(source: RealSource, format: str) -> list[str]:
    background = format != 'coco' and source.classes != tuple(COVERS)
    return [*(['background'] if background else []), *source.classes]


def _licences(package: Package) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(fetch(package)) as archive:
        paths = [
            path
            for path in archive.namelist()
            if '.dist-info/' in path and Path(path).name.startswith('LICEN')
        ]
        return [
            (f'{package.name}-{Path(path).name}.txt', archive.read(path))
            for path in paths
        ]
