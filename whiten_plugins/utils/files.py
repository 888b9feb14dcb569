"""Files that are written whole or not at all, and replace nothing unasked.

A tool calls :func:`check_free` before its work and :func:`write_files` after
it. Between them they see to it that

- no file is written over what it is made from, nor, unasked, over another;
- a folder that cannot be written, or is full, is found before the work;
- files that belong together, also parts that a writer adds by itself, appear
  together or not at all, and with them the folder that they need;
- what was replaced is back after a failure, and nothing temporary is left.

A process that is killed cannot tidy up: what is temporary stays, the old
files or the new ones stand whole, and whoever writes next to them removes it
(:func:`staging_folder`).
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from operator import methodcaller
from pathlib import Path

from .lock import if_free, locked

_BLOCK = 4096
_STAGING = '.writing-'


def check_free(
    files: Sequence[Path],
    overwrite: bool,
    source: Path | None = None,
    *,
    source_name: str = 'the checkpoint',
    file_name: str = 'file',
) -> None:
    """See, before any work, that these files can be written at no loss.

    Args:
        files: the files to write, of one folder.
        overwrite: whether they may be replaced.
        source: the file that is read; never written. Default: none.
        source_name: what the messages call it.
        file_name: what the messages call a file to write.

    Raises:
        OSError: if one of them is the source, no file, or there already, or
            its folder cannot be written.
    """
    for file in files:
        if source is not None and _is_same(file, source):
            raise FileExistsError(
                f'{file}: is {source_name} itself, already there; name '
                f'another {file_name}'
            )
        if file.is_dir():
            raise IsADirectoryError(f'{file}: is a folder; name a file in it')
        if file.exists() and not file.is_file():
            raise FileExistsError(f'{file}: is a device, not a file')
    taken = [str(file) for file in files if os.path.lexists(file)]
    if taken and not overwrite:
        raise FileExistsError(
            f'{", ".join(taken)}: already there; choose another {file_name} '
            'or add --overwrite'
        )
    check_folder(files[0].parent)


def _is_same(file: Path, other: Path) -> bool:
    both = file.exists() and other.exists()
    return both and os.path.samefile(file, other)


def check_folder(folder: Path, size: int = 0) -> None:
    """See that a folder, which need not exist yet, can be written to.

    Args:
        folder: its path.
        size: bytes that will be written, if known.

    Raises:
        OSError: if it is a file, read-only or too full.
    """
    nearest = nearest_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:
            file.write(bytes(_BLOCK))
            file.flush()
    except OSError as error:
        raise _about(folder, error) from error
    free = shutil.disk_usage(nearest).free
    if free < size:
        raise OSError(
            errno.ENOSPC,
            f'{os.strerror(errno.ENOSPC)}: {free / 1e6:.1f} MB are free, '
            f'about {size / 1e6:.1f} MB are needed',
            str(folder),
        )


def nearest_folder(path: Path) -> Path:
    """Return the folder itself, or the nearest existing one above it.

    Raises:
        NotADirectoryError: if there is a file in its place.
    """
    nearest = next(
        p for p in (path, *path.absolute().parents) if os.path.lexists(p)
    )
    if not nearest.is_dir():
        raise NotADirectoryError(f'{nearest}: is a file, not a folder')
    return nearest


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write texts to files of one folder, as :func:`write_files` does."""
    write_files(
        {
            path: methodcaller('write_text', text, encoding='utf-8')
            for path, text in texts.items()
        }
    )


def write_files(
    writers: Mapping[Path, Callable[[Path], object]],
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write files of one folder under other names before any takes its own.

    Args:
        writers: for each file what writes it to a path, of the same name in
            another folder; files that it adds there, such as the
            ``model.onnx.data`` of a large model, come along. The last one
            appears last. These files are replaced if they exist.
        overwrite: whether files that were added may be replaced too.

    Returns:
        list[Path]: All files.

    Raises:
        OSError: if they cannot be written; everything is as it was.
    """
    folder = next(iter(writers)).parent
    nearest = nearest_folder(folder)
    with staging_folder(nearest, _STAGING, folder) as staging:
        made = staging / 'made'
        try:
            made.mkdir()
        except OSError as error:
            raise _about(folder, error) from error
        for file, write in writers.items():
            try:
                write(made / file.name)
            except OSError as error:
                if not _is_about(error, staging):
                    raise  # about something that the writer reads
                raise _about(file, error) from error
        names = [file.name for file in writers]
        added = sorted({p.name for p in made.iterdir()}.difference(names))
        if not overwrite:
            _check_added([folder / name for name in added])
        _move(made, folder, [*added, *names])
    return [folder / name for name in (*added, *names)]


@contextmanager
def staging_folder(
    folder: Path, prefix: str, named: Path | None = None
) -> Iterator[Path]:
    """Make a temporary folder, and remove those that killed processes left.

    Whoever uses such a folder holds its lock, which the system takes from a
    process that ends: what is not locked is nobody's.

    Args:
        folder: where to make it.
        prefix: of its name; other folders of this prefix are removed if
            nobody uses them.
        named: what messages are about. Default: ``folder``.

    Raises:
        OSError: if the folder cannot be written, or cannot be tidied.
    """
    try:
        with ExitStack() as stack:
            # The next one must not find it before its own lock is held.
            with locked(folder) as alone:
                if alone:
                    _sweep(folder, prefix)
                made = tempfile.TemporaryDirectory(prefix=prefix, dir=folder)
                stack.enter_context(if_free(Path(made.name)))
            yield Path(stack.enter_context(made))
    except OSError as error:
        if error.filename == str(folder) or _is_about(error, folder / prefix):
            raise _about(named or folder, error) from error
        raise


def _sweep(folder: Path, prefix: str) -> None:
    for left in folder.glob(f'{prefix}*'):
        with suppress(OSError), if_free(left) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)


def _is_about(error: OSError, start: Path) -> bool:
    """Return whether an error is about a path that starts so, or says none."""
    return str(error.filename or start).startswith(str(start))


def _check_added(files: Sequence[Path]) -> None:
    taken = [str(file) for file in files if os.path.lexists(file)]
    if taken:
        raise FileExistsError(
            f'{", ".join(taken)}: already there, and a part of what is '
            'written; choose another folder or add --overwrite'
        )


def _move(made: Path, folder: Path, names: Sequence[str]) -> None:
    """Move files into a folder, all or none."""
    replaced = made.with_name('replaced')
    new_folders = [
        path for path in (folder, *folder.parents) if not path.exists()
    ]
    done: list[Path] = []
    try:
        replaced.mkdir()
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            target = folder / name
            if os.path.lexists(target):
                _keep(target, replaced / name)
            done.append(target)
            os.replace(made / name, target)
    except BaseException as error:
        for target in done:
            if os.path.lexists(replaced / target.name):
                os.replace(replaced / target.name, target)
            elif not os.path.lexists(made / target.name):
                target.unlink(missing_ok=True)
        for path in new_folders:
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            raise _about(folder, error) from error
        raise


def _keep(file: Path, name: Path) -> None:
    """Keep a file under a second name, so that it is there all the time."""
    try:
        os.link(file, name, follow_symlinks=False)
    except OSError:  # a file system without links
        shutil.copy2(file, name, follow_symlinks=False)


def _about(path: Path, error: OSError) -> OSError:
    """Restate an error for the path that the user named."""
    if error.errno is None:
        return error
    return type(error)(error.errno, os.strerror(error.errno), str(path))
