"""Read the weights and the config text of a checkpoint that nobody vouched
for: nothing in the file is executed, and only what is used is read."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..integration import safe_globals

# What data parallelism and torch.compile put into the names of modules.
_WRAPPERS = re.compile(
    r'^(?:(?:module|_orig_mod)(?:\.|$))+|(?<=\.)_orig_mod(?:\.|$)'
)


class CheckpointError(ValueError):
    """A file that cannot be read as a checkpoint, or holds no ratios."""


class PickleRefusedError(CheckpointError):
    """A file with objects in it that could execute code."""


@dataclass(frozen=True)
class Checkpoint:
    """What is used of a checkpoint file.

    Attributes:
        path: the file.
        state_dict: the weights, in the order of the file, with the metadata
            of their modules, as a module's ``state_dict()`` has them; names
            are without the ``module.`` of data-parallel wrappers and the
            ``_orig_mod.`` of compiled modules.
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
    weights = with_metadata(
        {
            _unwrapped(str(key)): value
            for key, value in state_dict.items()
            if isinstance(value, Tensor)
        },
        {
            _unwrapped(name): entries
            for name, entries in module_metadata(state_dict).items()
        },
    )
    if not weights:
        raise CheckpointError(
            f"{path}: no tensors found in it, nor under 'state_dict' or "
            f"'model'; expected a checkpoint or a state dict"
        )
    meta = content.get('meta')
    return Checkpoint(path, weights, meta if isinstance(meta, Mapping) else {})


def module_metadata(state_dict: Mapping) -> dict[str, dict[str, Any]]:
    """Return what a state dict says of its modules besides tensors.

    Whatever a file has there that is not of this form is left out; what the
    entries hold is as trustworthy as the file.
    """
    found = getattr(state_dict, '_metadata', None)
    if not isinstance(found, Mapping):
        return {}
    return {
        str(name): {str(key): value for key, value in entries.items()}
        for name, entries in found.items()
        if isinstance(entries, Mapping)
    }


def with_metadata(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, Mapping[str, Any]]
) -> OrderedDict[str, Tensor]:
    """Return a state dict of tensors and of the metadata of its modules."""
    state_dict = OrderedDict(tensors)
    state_dict._metadata = OrderedDict(metadata)  # type: ignore[attr-defined]
    return state_dict


def _unwrapped(name: str) -> str:
    return _WRAPPERS.sub('', name).rstrip('.')


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
