"""Files that are written whole or not at all, and replace nothing unasked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def check_free(
    files: Sequence[Path],
    overwrite: bool,
    source: Path | None = None,
    *,
    source_name: str = 'the checkpoint',
    file_name: str = 'file',
) -> None:
    """See, before any work, that writing these files loses nothing.

    Args:
        files: the files to write.
        overwrite: whether they may be replaced.
        source: the file that is read; never written. Default: none.
        source_name: what the messages call it.
        file_name: what the messages call a file to write.

    Raises:
        OSError: if one of them is the source, a folder, or there already.
    """
    for file in files:
        both = source is not None and file.exists() and source.exists()
        if both and os.path.samefile(file, source):
            raise FileExistsError(
                f'{file}: is {source_name} itself; name another {file_name}'
            )
        if file.is_dir():
            raise IsADirectoryError(f'{file}: is a folder; name a file in it')
    taken = [str(file) for file in files if os.path.lexists(file)]
    if taken and not overwrite:
        raise FileExistsError(
            f'{", ".join(taken)}: already there; choose another {file_name} '
            'or add --overwrite'
        )


def write_files(writers: Mapping[Path, Callable[[Path], object]]) -> None:
    """Write files of one folder under other names before any takes its own.

    Args:
        writers: for each file what writes it to a path, of the same name in
            another folder; the last one appears last.

    Raises:
        OSError: if they cannot be written; nothing is left behind.
    """
    folder = next(iter(writers)).parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.writing-', dir=folder) as made:
        for file, write in writers.items():
            write(Path(made) / file.name)
        for file in writers:
            os.replace(Path(made) / file.name, file)
