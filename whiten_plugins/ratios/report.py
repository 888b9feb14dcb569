"""From checkpoints to a table on the terminal and files in a folder."""

import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from .checkpoint import CheckpointError
from .figure import draw_ratios
from .files import to_csv, to_json
from .layers import read_ratios
from .table import print_table

FILES = ('ratios.csv', 'ratios.json', 'ratios.png')
DPI = 200
MAX_PIXELS = 2**16 - 1  # a side, of matplotlib's PNG writer


def write_report(
    checkpoints: Sequence[str | Path],
    out: str | Path,
    *,
    overwrite: bool = False,
    console: Console | None = None,
) -> list[Path]:
    """Print the ratios of checkpoints and write them to a folder.

    Nothing is written unless all checkpoints could be read.

    Args:
        checkpoints: checkpoint files, in the order
            in which to show them.
        out: folder for ``ratios.csv``, ``ratios.json`` and
            ``ratios.png``; made if missing. Other files in it stay.
        overwrite: replace these files if they exist. Default: False.
        console: where to print. Default: the terminal.

    Returns:
        list[Path]: The files that were written.

    Raises:
        CheckpointError: If a checkpoint cannot be read or holds no ratios,
            or is given twice.
        OSError: If the folder cannot be written, or a file exists in it and
            is not to be overwritten.
    """
    console = console or Console()
    files = [Path(out) / name for name in FILES]
    _check_free(files, overwrite)
    twice = {str(c) for c in checkpoints if list(checkpoints).count(c) > 1}
    if twice:
        raise CheckpointError(f'given twice: {", ".join(sorted(twice))}')
    reports = [read_ratios(path) for path in checkpoints]
    contents = (
        to_csv(reports).encode(),
        to_json(reports).encode(),
        _png(draw_ratios(reports)),
    )
    _write(files, contents)
    for ratios in reports:
        print_table(ratios, console)
    return files


def _check_free(files: list[Path], overwrite: bool) -> None:
    folder = files[0].parent
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f'{folder}: is a file, not a folder')
    taken = [str(file) for file in files if os.path.lexists(file)]
    if taken and not overwrite:
        raise FileExistsError(
            f'{", ".join(taken)}: already there; choose another folder or '
            f'add --overwrite'
        )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    longest = max(figure.get_size_inches())
    figure.savefig(buffer, dpi=min(DPI, MAX_PIXELS // longest), format='png')
    return buffer.getvalue()


def _write(files: list[Path], contents: Sequence[bytes]) -> None:
    """Writes all files under other names before the first takes its own."""
    folder = files[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.ratios-', dir=folder) as made:
        for file, content in zip(files, contents):
            (Path(made) / file.name).write_bytes(content)
        for file in files:
            os.replace(Path(made) / file.name, file)
