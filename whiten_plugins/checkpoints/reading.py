"""Read the weights and the config text of a checkpoint that nobody vouched
for: nothing in the file is executed, and only what is used is read."""

import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..integration import safe_globals


class CheckpointError(ValueError):
    """A file that cannot be read as a checkpoint, or holds no ratios."""


class PickleRefusedError(CheckpointError):
    """A file with objects in it that could execute code."""


@dataclass(frozen=True)
class Checkpoint:
    """What the ratio report needs of a checkpoint file.

    Attributes:
        path: the file.
        state_dict: the weights, in the order of the
            file, without the ``module.`` of data-parallel wrappers.
        meta: what the file says about itself.
    """

    path: Path
    state_dict: dict[str, Tensor]
    meta: Mapping = field(default_factory=dict)

    @property
    def config(self) -> str | None:
        """The config as mmengine dumped it; Python text, not to be
        executed."""
        text = self.meta.get('cfg')
        return text if isinstance(text, str) else None


def load_checkpoint(
    path: str | Path, *, trust_pickle: bool = False
) -> Checkpoint:
    """Read an mmengine training checkpoint or a plain state dict.

    Args:
        path: A file written by `torch.save`: a state dict, or
            a dict with one under ``state_dict`` or ``model``.
        trust_pickle: load any object, which executes what the file says.
            Default: False, weights only.

    Returns:
        Checkpoint: Its weights, on the CPU, and its ``meta``.

    Raises:
        PickleRefusedError: If it holds more than weights and plain values.
        CheckpointError: If there is no such file, or it is not a checkpoint.
    """
    path = Path(path)
    content = _load(path, trust_pickle)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f'{path}: holds a {type(content).__name__}, not a state dict'
        )
    state_dict = content
    for key in ('state_dict', 'model'):
        if isinstance(content.get(key), Mapping):
            state_dict = content[key]
            break
    weights = {
        str(key).removeprefix('module.'): value
        for key, value in state_dict.items()
        if isinstance(value, Tensor)
    }
    if not weights:
        raise CheckpointError(
            f"{path}: no tensors found in it, nor under 'state_dict' or "
            f"'model'; expected a checkpoint or a state dict"
        )
    meta = content.get('meta')
    return Checkpoint(path, weights, meta if isinstance(meta, Mapping) else {})


def _load(path: Path, trust_pickle: bool) -> Any:
    if path.is_dir():
        raise CheckpointError(
            f'{path}: is a directory; name a checkpoint file in it'
        )
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file')
    try:
        with safe_globals.allowed(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return torch.load(
                path,
                map_location='cpu',
                weights_only=not trust_pickle,
                # The optimizer's state is most of a training checkpoint:
                # map the file, so that only what is used is read.
                mmap=zipfile.is_zipfile(path),
            )
    except PermissionError as error:
        raise CheckpointError(f'{path}: cannot be read') from error
    except Exception as error:  # arbitrary bytes raise arbitrary errors
        raise _refusal(path, error) from error


def _refusal(path: Path, error: Exception) -> CheckpointError:
    if isinstance(error, (ImportError, AttributeError)):
        return CheckpointError(
            f'{path}: needs the code that wrote it: {error}'
        )
    refused = re.search(
        r'Unsupported (?:global: GLOBAL|class) ([\w.]+)', str(error)
    )
    if refused is None:
        return CheckpointError(
            f'{path}: not a PyTorch checkpoint, or a damaged one'
        )
    return PickleRefusedError(
        f'{path}: holds a {refused[1]} object, which is not loaded from an '
        f"untrusted file; save its 'state_dict' alone"
    )
