"""Which checkpoint of a work directory to go on from."""

from __future__ import annotations

import logging
import re
import zipfile
from pathlib import Path

from mmengine.logging import print_log

from ..config.errors import ConfigError

_NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth')
_NAME = 'last_checkpoint'


def repaired_choice(work_dir: Path) -> Path | None:
    """Return what to resume where mmengine's own choice would fail.

    A training that was killed while it saved leaves a checkpoint that is cut
    off, or a ``last_checkpoint`` that names none or one that is gone.

    Args:
        work_dir: of the training.

    Returns:
        The latest checkpoint that is whole; None where ``last_checkpoint``
        names a whole one, or there is no such file: mmengine is right then.

    Raises:
        ConfigError: if no checkpoint is whole.
    """
    named = work_dir / _NAME
    if not named.is_file():
        return None
    choice = named.read_text().strip()
    if choice and (Path(choice).is_dir() or zipfile.is_zipfile(choice)):
        return None
    numbered = {
        int(match[1]): path
        for path in work_dir.iterdir()
        if (match := _NUMBERED.fullmatch(path.name))
    }
    whole = [n for n in sorted(numbered) if zipfile.is_zipfile(numbered[n])]
    found = f'{named}: names {choice or "nothing"}, which is not whole'
    if not whole:
        raise ConfigError(
            f'{found}, as a training leaves it that is killed while it '
            'saves, and no other checkpoint there is; remove it to start '
            'anew, and keep more than one (max_keep_ckpts=2)'
        )
    path = numbered[whole[-1]]
    print_log(
        f'{found}: resuming {path.name} instead',
        logger='current',
        level=logging.WARNING,
    )
    return path
