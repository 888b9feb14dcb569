"""What a ``type`` names: a string in text-style configs, a class in others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

TOOLKITS = ('mmdet', 'mmseg')


def type_name(cfg: Mapping, default: str | None = None) -> str | None:
    """Return the name of a config's ``type``, without scope or module.

    Args:
        cfg: a dict that something is built from.
        default: where it has no type.
    """
    kind = cfg.get('type', default)
    name = getattr(kind, '__name__', kind)
    return name.rpartition('.')[2] if isinstance(name, str) else name


def type_path(kind: Any) -> str:
    """Return a type as text that registries resolve.

    Text is returned as it is, a class as its path.
    """
    if isinstance(kind, str):
        return kind
    return f'{kind.__module__}.{kind.__qualname__}'


def toolkit_of(cfg: Config) -> str | None:
    """Return the toolkit of a config, None if neither mmdet nor mmseg.

    It is the config's scope or, where it has none, that of its model.
    """
    scope = cfg.get('default_scope')
    if scope is None:
        kind = (cfg.get('model') or {}).get('type', '')
        scope = type_path(kind).partition('.')[0]
    return scope if scope in TOOLKITS else None
