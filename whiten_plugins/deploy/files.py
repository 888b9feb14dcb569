"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def check_free(files: Sequence[Path], overwrite: bool) -> None:
    """Check that files can be written.

    Raises:
        FileExistsError: if one is there and ``overwrite`` is False.
    """
    taken = [str(file) for file in files if os.path.lexists(file)]
    if taken and not overwrite:
        raise FileExistsError(
            f'{", ".join(taken)}: already there; choose another --out or add '
            '--overwrite'
        )


def write_files(writers: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write files of one folder, all of them or none.

    Args:
        writers: for each file what writes it to a path, of the same name in
            another folder.
    """
    folder = next(iter(writers)).parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.deploy-', dir=folder) as made:
        for file, write in writers.items():
            write(Path(made) / file.name)
        for file in writers:
            os.replace(Path(made) / file.name, file)
