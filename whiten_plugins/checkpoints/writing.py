"""Checkpoints as files: complete or not there."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..utils.files import write_files
from .reading import module_metadata, with_metadata

_FULL = 2**20


def save_torch(content: object, path: Path) -> None:
    """Save an object as :func:`torch.save` does.

    Raises:
        OSError: if it cannot be written, where torch's own error is that of
            its archive writer and names neither file nor reason.
    """
    try:
        torch.save(content, path)
    except RuntimeError as error:
        if 'write' not in str(error):
            raise
        free = shutil.disk_usage(path.parent).free
        code = errno.ENOSPC if free < _FULL else errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from error


def save_weights(
    weights: Mapping[str, Tensor], meta: Mapping[str, Any], out: Path
) -> None:
    """Write weights as mmengine does: the file is complete or not there.

    The metadata of a state dict's modules are kept. There is no optimizer in
    it, whose state belongs to the weights as they were: it is for evaluation
    and ``load_from``, not to be resumed.

    Args:
        weights: the state dict.
        meta: what the checkpoint it was made from says of itself.
        out: the file.

    Raises:
        OSError: if it cannot be written.
    """
    state_dict = with_metadata(weights, module_metadata(weights))
    content = {'meta': dict(meta), 'state_dict': state_dict}
    write_files({out: partial(save_torch, content)})
