"""Checkpoints as files: complete or not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from ..utils.files import write_files
from .reading import module_metadata, with_metadata


class _Remembering:
    """A file that remembers its first error.

    torch's archive writer turns it into errors of its own, which name neither
    file nor reason.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._do(self._file.write, data)

    def flush(self) -> None:
        self._do(self._file.flush)

    def _do(self, function: Callable, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except OSError as error:
            self.error = self.error or error
            raise


def save_torch(content: object, path: Path) -> None:
    """Save an object as :func:`torch.save` does.

    Raises:
        OSError: if it cannot be written.
    """
    try:
        with path.open('wb') as file:
            remembering = _Remembering(file)
            try:
                torch.save(content, cast(BinaryIO, remembering))
            except RuntimeError as error:
                raise remembering.error or error from None
    except OSError as error:
        code = error.errno or errno.EIO
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
