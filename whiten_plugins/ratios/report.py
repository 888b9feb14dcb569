"""From checkpoints to tables on the terminal and files in a folder."""

from collections.abc import Sequence
from operator import methodcaller
from pathlib import Path

from mmengine.config import Config
from rich.console import Console

from ..analysis.forward_order import trace_forward
from ..checkpoints.reading import CheckpointError
from ..utils.files import check_folder, check_free, write_files
from ..utils.requirements import require
from .charts import make_figures
from .files import to_csv, to_json
from .runs import Run, in_forward_order, read_run
from .table import print_changes, print_run

FORMATS = ('html', 'png', 'svg', 'csv', 'json')
DEFAULT_FORMATS = ('html', 'png', 'csv', 'json')
_NEEDED = {
    'html': ('jinja2',),
    'png': ('matplotlib',),
}


def write_report(
    checkpoints: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    config: Config | None = None,
    image_size: Sequence[int] | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    overwrite: bool = False,
    console: Console | None = None,
) -> list[Path]:
    """Print the ratios of checkpoints and write them to a folder.

    Nothing is written unless all checkpoints could be read and all files
    could be made.

    Args:
        checkpoints: checkpoint files and work directories, in the order in
            which to show them.
        out: folder for ``report.html``, ``ratios.csv``, ``ratios.json`` and
            a picture of each figure; made if missing. Other files in it
            stay. Default: ``ratios`` in the first work directory, or beside
            the first checkpoint.
        config: config of the network, which is built and run once to find
            the order of its layers and their receptive fields. Default:
            none, the order is that of the names.
        image_size: (H, W) of the image that it is run on. Default: a small
            one, or one that the config names.
        formats: which of 'html', 'png', 'svg', 'csv' and 'json' to write.
        overwrite: replace these files if they exist. Default: False.
        console: where to print. Default: the terminal.

    Returns:
        list[Path]: The files that were written.

    Raises:
        CheckpointError: If a checkpoint cannot be read or holds no ratios,
            is given twice, or does not belong to the config.
        ConfigError: If the network of the config cannot be built or run.
        OSError: If the folder cannot be written, or a file exists in it and
            is not to be overwritten.
        ValueError: If a format is not known.
        MissingPackageError: If one needs a package that is not installed.
    """
    console = console or Console()
    _check_formats(formats)
    _check_distinct(checkpoints)
    folder = Path(out) if out is not None else _default_folder(checkpoints[0])
    check_folder(folder)
    runs = [read_run(path) for path in checkpoints]
    if config is not None:
        fields = trace_forward(config, image_size)
        runs = [in_forward_order(run, fields) for run in runs]
    contents = _contents(runs, formats)
    files = [folder / name for name in contents]
    check_free(files, overwrite, file_name='folder')
    write_files(
        {
            file: methodcaller('write_bytes', content)
            for file, content in zip(files, contents.values())
        }
    )
    for run in runs:
        print_run(run, console)
    print_changes(runs, console)
    return files


def _check_formats(formats: Sequence[str]) -> None:
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(
            f'format {", ".join(map(repr, unknown)) or "missing"}; known are '
            f'{", ".join(FORMATS)}'
        )
    for name in formats:
        require(*_NEEDED.get(name, ()), for_=f'format {name!r}')


def _check_distinct(checkpoints: Sequence[str | Path]) -> None:
    names = [str(path) for path in checkpoints]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise CheckpointError(f'given twice: {", ".join(sorted(twice))}')


def _default_folder(checkpoint: str | Path) -> Path:
    path = Path(checkpoint)
    return (path if path.is_dir() else path.parent) / 'ratios'


def _contents(runs: Sequence[Run], formats: Sequence[str]) -> dict[str, bytes]:
    figures = make_figures(runs)
    contents = {}
    if 'html' in formats:
        from .page import render

        contents['report.html'] = render(runs, figures).encode()
    for suffix in ('png', 'svg'):
        if suffix in formats:
            from .charts.drawing import save

            for figure in figures:
                name = f'{figure.name}.{suffix}'
                contents[name] = save(figure, suffix)
    if 'csv' in formats:
        contents['ratios.csv'] = to_csv(runs).encode()
    if 'json' in formats:
        contents['ratios.json'] = to_json(runs).encode()
    return contents
