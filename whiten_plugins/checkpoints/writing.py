"""The converted checkpoint and its report: both complete, or neither."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def check_free(files: Sequence[Path], source: Path, overwrite: bool) -> None:
    """See that writing these files loses nothing.

    Args:
        files: the files to write.
        source: the checkpoint that is read; never written.
        overwrite: whether the files may be replaced.

    Raises:
        OSError: if one of them is the source, a folder, or there already.
    """
    for file in files:
        both = file.exists() and source.exists()
        if both and os.path.samefile(file, source):
            raise FileExistsError(f'{file}: is SRC itself; name another DST')
        if file.is_dir():
            raise IsADirectoryError(f'{file}: is a folder; name a file in it')
    taken = [str(file) for file in files if os.path.lexists(file)]
    if taken and not overwrite:
        raise FileExistsError(
            f'{", ".join(taken)}: already there; choose another DST or add '
            f'--overwrite'
        )


def write_files(
    checkpoint: dict[str, Any], report: str, files: tuple[Path, Path]
) -> None:
    """Write both under other names before either takes its own.

    Args:
        checkpoint: what `torch.save` is to write.
        report: the text of the report.
        files: where checkpoint and report go; folders are made.

    Raises:
        OSError: if they cannot be written; nothing is left behind.
    """
    weights = io.BytesIO()
    torch.save(checkpoint, weights)
    folder = files[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.convert-', dir=folder) as made:
        staged = [Path(made) / file.name for file in files]
        staged[0].write_bytes(weights.getbuffer())
        staged[1].write_text(report)
        # The checkpoint last: where it stands, its report does too.
        for part, file in zip(reversed(staged), reversed(files)):
            os.replace(part, file)
