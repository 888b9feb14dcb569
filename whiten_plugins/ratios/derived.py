"""A checkpoint made from another one: other weights, the same ``meta``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def check_out(out: Path, source: Path, overwrite: bool) -> None:
    """See, before any work, that writing ``out`` loses nothing.

    Raises:
        OSError: if it is the source or a folder, or there already and not to
            be overwritten.
    """
    if out.exists() and source.exists() and os.path.samefile(out, source):
        raise FileExistsError(f'{out}: is the checkpoint itself')
    if out.is_dir():
        raise IsADirectoryError(f'{out}: is a folder; name a file in it')
    if os.path.lexists(out) and not overwrite:
        raise FileExistsError(
            f'{out}: already there; choose another file or add --overwrite'
        )


def save_derived(
    weights: Mapping[str, Tensor], meta: Mapping[str, Any], out: Path
) -> None:
    """Write weights as mmengine does: the file is complete or not there.

    There is no optimizer in it, whose state belongs to the weights as they
    were: it is for evaluation and ``load_from``, not to be resumed.

    Raises:
        OSError: if it cannot be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {'meta': dict(meta), 'state_dict': dict(weights)}
    with tempfile.TemporaryDirectory(prefix='.saving-', dir=out.parent) as to:
        staged = Path(to) / out.name
        torch.save(content, staged)
        os.replace(staged, out)
