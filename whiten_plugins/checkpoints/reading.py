"""Read the weights and the config text of an untrusted checkpoint.

Nothing in the file is executed, and only what is used is read.
"""

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
from ..utils.texts import shorten

# What data parallelism and torch.compile put into the names of modules.
_WRAPPERS = re.compile(
    r'^(?:(?:module|_orig_mod)(?:\.|$))+|(?<=\.)_orig_mod(?:\.|$)'
)

_USUAL_WEIGHTS = ('state_dict', 'model')


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
        weights: where in the file the weights are; empty where they are all
            there is.
        others: where other weights are, such as averaged ones.
        contents: the names of everything in the file, where it is more than
            a state dict.
    """

    path: Path
    state_dict: dict[str, Tensor]
    meta: Mapping = field(default_factory=dict)
    weights: str = ''
    others: tuple[str, ...] = ()
    contents: frozenset[str] = frozenset()

    @property
    def config(self) -> str | None:
        """The config as mmengine dumped it.

        It is Python text, not to be executed.
        """
        text = self.meta.get('cfg')
        return text if isinstance(text, str) else None


def load_checkpoint(
    path: str | Path,
    *,
    trust_pickle: bool = False,
    weights: str | None = None,
) -> Checkpoint:
    """Read an mmengine training checkpoint or a plain state dict.

    Args:
        path: A file written by `torch.save`: a state dict, or a dict of
            state dicts and other things; or a ``.safetensors`` file.
        trust_pickle: load any object, which executes what the file says.
            Default: False, weights only.
        weights: key of the state dict in the file, for instance
            ``state_dict_ema``. Default: ``state_dict``, else ``model``, else
            the file itself.

    Returns:
        Checkpoint: Its weights, on the CPU, and its ``meta``.

    Raises:
        PickleRefusedError: If it holds more than weights and plain values.
        CheckpointError: If there is no such file, it is not a checkpoint, or
            has no such weights.
    """
    path = Path(path)
    _check_file(path)
    content = _load(path, trust_pickle)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f'{path}: holds a {type(content).__name__}, not a state dict'
        )
    found = {
        key: value
        for key, value in content.items()
        if isinstance(key, str) and _has_weights(value)
    }
    usual = (key for key in _USUAL_WEIGHTS if key in found)
    chosen = next(usual, '') if weights is None else weights
    state_dict = found.get(chosen, {}) if chosen else content
    tensors = with_metadata(
        {
            _unwrapped(key): _checked(path, key, value)
            for key, value in state_dict.items()
            if isinstance(key, str) and isinstance(value, Tensor)
        },
        {
            _unwrapped(name): entries
            for name, entries in module_metadata(state_dict).items()
        },
    )
    if not tensors:
        place = (
            f'nor under {" or ".join(map(repr, _USUAL_WEIGHTS))}'
            if weights is None
            else f'under {weights!r}'
        )
        raise CheckpointError(
            f'{path}: no tensors found in it, {place}; '
            f'{_what_is_there(content, found)}'
        )
    meta = content.get('meta')
    return Checkpoint(
        path,
        tensors,
        meta if isinstance(meta, Mapping) else {},
        chosen,
        tuple(key for key in found if key != chosen),
        frozenset(key for key in content if isinstance(key, str))
        if chosen
        else frozenset(),
    )


def _checked(path: Path, key: str, value: Tensor) -> Tensor:
    """See that a tensor takes no more memory than the file.

    A few bytes can be read as any shape, by strides of 0.
    """
    plain = value.layout == torch.strided and not value.is_quantized
    if plain and value.is_cpu:
        held = value.untyped_storage().nbytes()
        if value.numel() * value.element_size() <= held:
            return value
    raise CheckpointError(
        f'{path}: {_shown(key)} of shape {tuple(value.shape)} is not a plain '
        'tensor with a value for each element'
    )


def _has_weights(value: object) -> bool:
    """Return whether a value is a state dict; an optimizer's state is not."""
    return isinstance(value, Mapping) and any(
        isinstance(key, str) and isinstance(item, Tensor)
        for key, item in value.items()
    )


def _what_is_there(content: Mapping, found: Mapping) -> str:
    if found:
        return f'choose its weights by name: {", ".join(map(_shown, found))}'
    keys = [_shown(key) for key in content]
    return f'its keys are {shorten(keys, 5) or "none"}'


def _shown(key: object) -> str:
    # The text of another object may be endless.
    return f'{key[:40]!r}' if isinstance(key, str) else type(key).__name__


def module_metadata(state_dict: Mapping) -> dict[str, dict[str, Any]]:
    """Return what a state dict says of its modules besides tensors.

    Whatever a file has there that is not of this form is left out; what the
    entries hold is as trustworthy as the file.
    """
    found = getattr(state_dict, '_metadata', None)
    if not isinstance(found, Mapping):
        return {}
    return {
        name: {k: v for k, v in entries.items() if isinstance(k, str)}
        for name, entries in found.items()
        if isinstance(name, str) and isinstance(entries, Mapping)
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


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(
            f'{path}: is a directory; name a checkpoint file in it'
        )
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file')
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception:  # no archive; torch says what it is
        return
    size = path.stat().st_size
    for entry in entries:
        # torch stores: what is compressed may be a thousand times as large.
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
            raise CheckpointError(
                f'{path}: not a PyTorch checkpoint: it is compressed'
            )


def _load(path: Path, trust_pickle: bool) -> Any:
    if path.suffix == '.safetensors':
        return _load_safetensors(path)
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


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise CheckpointError(
            f'{path}: reading it needs safetensors: pip install safetensors'
        ) from error
    try:
        return load_file(path)
    except Exception as error:  # arbitrary bytes raise arbitrary errors
        raise CheckpointError(
            f'{path}: not a safetensors file, or a damaged one'
        ) from error


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
