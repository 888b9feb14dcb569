"""The ``norm_cfg`` dicts of a config: where they are, what they name."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.registry import MODELS
from torch import nn


class NormSetting(NamedTuple):
    """A ``norm_cfg`` or ``whiten_cfg`` in a config.

    Attributes:
        path: its dotted name, as ``--cfg-options`` takes it.
        owner: the dict that holds it.
        key: its key there.
    """

    path: str
    owner: dict
    key: str

    @property
    def cfg(self) -> dict:
        return self.owner[self.key]

    @property
    def owner_path(self) -> str:
        return self.path.rpartition('.')[0]


def find_norm_cfgs(value: Any, path: str = 'model') -> Iterator[NormSetting]:
    """Every dict below ``value`` that is a ``norm_cfg`` or ``whiten_cfg``.

    Args:
        value: a config, usually that of the model.
        path: its dotted name.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            is_norm = key == 'whiten_cfg' or key.endswith('norm_cfg')
            if is_norm and isinstance(item, dict):
                yield NormSetting(f'{path}.{key}', value, key)
            else:
                yield from find_norm_cfgs(item, f'{path}.{key}')
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from find_norm_cfgs(item, f'{path}.{index}')


def is_norm_class(kind: type) -> bool:
    """Whether a class calls itself, or one of its bases, a norm."""
    return any('norm' in base.__name__.lower() for base in kind.__mro__)


def norm_class(norm_cfg: Mapping, path: str = 'norm_cfg') -> type[nn.Module]:
    """The class that a ``norm_cfg`` names, in the current scope.

    Args:
        norm_cfg: dict with a ``type``.
        path: its dotted name, for the message.

    Raises:
        ValueError: if there is no ``type`` or it is not registered.
    """
    kind = norm_cfg.get('type')
    if kind is None:
        raise ValueError(f'{path} has no type: {dict(norm_cfg)}')
    if not isinstance(kind, str):
        return kind
    with MODELS.switch_scope_and_registry(norm_cfg.get('_scope_')) as registry:
        try:
            found = registry.get(kind)
        except RuntimeError:  # a dotted name of nothing
            found = None
    if found is None:
        raise ValueError(
            f'{path}.type={kind!r} is not registered; {_suggestion(kind)}'
        )
    return found


def _suggestion(kind: str) -> str:
    known = {
        name.lower(): name
        for name, item in MODELS.module_dict.items()
        if isinstance(item, type) and is_norm_class(item)
    }
    close = difflib.get_close_matches(kind.lower(), known, n=3, cutoff=0.5)
    if close:
        return f'did you mean {" or ".join(known[name] for name in close)}?'
    return f'norms are {", ".join(sorted(known.values()))}'
