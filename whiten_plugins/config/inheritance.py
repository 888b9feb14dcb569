"""Where settings of a norm come from, through the bases of a config.

A config that inherits ``norm_cfg=dict(type='BN', requires_grad=False)`` and
writes ``norm_cfg=dict(type='SW')`` gets SW layers that are not trained: dicts
are merged, unless ``_delete_=True`` stands in the new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..norms.base import WhiteningNorm
from ..placement.norm_types import norm_class
from .norm_cfgs import NormSetting, find_norm_cfgs
from .types import type_name


class Origin(NamedTuple):
    """Where a setting got its value.

    Attributes:
        value: the value.
        file: the config file that set it, as its heirs call it.
        type: the type that it was set for.
        ancestors: how often the file was inherited from.
    """

    value: Any
    file: str
    type: str | None
    ancestors: int


class Inherited(NamedTuple):
    """A setting that was meant for another type of norm.

    Attributes:
        key: its name in the ``norm_cfg``.
        origin: where it came from.
    """

    key: str
    origin: Origin

    def __str__(self) -> str:
        return (
            f'{self.key}={self.origin.value!r} is inherited from '
            f'{self.origin.file}, which sets it for {self.origin.type}'
        )


def inherited_settings(cfg: Config, setting: NormSetting) -> list[Inherited]:
    """Return the settings that a norm of this package took from a base.

    Args:
        cfg: the whole config. One in the pure-Python style, or one that is
            of no file, does not say where anything is from.
        setting: a ``norm_cfg`` in it.

    Returns:
        list[Inherited]: What an ancestor of the file that chose the type set
        for another type.
    """
    file = getattr(cfg, 'filename', None)
    if not file or not _is_own(cfg, setting):
        return []
    try:
        origins = _origins(str(file), str(file), setting.path, 0)
    except Exception:  # a base runs as code, and was looked at before
        return []
    kind = type_name(setting.cfg)
    chosen = origins.get('type')
    # Chosen on the command line: after all files.
    level = chosen.ancestors if chosen and chosen.type == kind else -1
    return [
        Inherited(key, origin)
        for key, origin in origins.items()
        if key in setting.cfg
        and origin.ancestors > level
        and origin.type not in (None, kind)
        and (key, origin.value) != ('requires_grad', True)
    ]


def inherited_warnings(cfg: Config) -> Iterator[str]:
    """Warn of settings that a base made for another type of norm.

    They freeze norms, or give them the groups of another norm.

    Args:
        cfg: the whole config.
    """
    for setting in find_norm_cfgs(cfg.get('model')):
        for found in inherited_settings(cfg, setting):
            kind = type_name(setting.cfg)
            if found.key == 'requires_grad':
                effect = f'weight, bias and ratios of {kind} are not trained'
            elif found.key == 'num_groups':
                effect = f'it changes {kind}'
            else:
                continue
            yield f'{setting.path}: {found}: {effect}; {remedy(setting)}'


def remedy(setting: NormSetting) -> str:
    """Say what to write for a norm without inherited settings."""
    kind = type_name(setting.cfg)
    return f"to start anew: {setting.key}=dict(_delete_=True, type='{kind}')"


def _is_own(cfg: Config, setting: NormSetting) -> bool:
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        try:
            kind = norm_class(setting.cfg)
        except ValueError:
            return False
    return isinstance(kind, type) and issubclass(kind, WhiteningNorm)


def _origins(
    name: str, file: str, path: str, ancestors: int
) -> dict[str, Origin]:
    """Return the origin of every key of a dict in a config file."""
    if Config._is_lazy_import(file):
        return {}
    merged = _lookup(Config.fromfile(file), path)
    if not isinstance(merged, Mapping):
        return {}
    found: dict[str, Origin] = {}
    for base in Config._get_base_files(file):
        base_file, _ = Config._get_cfg_path(base, file)
        above = _origins(base, base_file, path, ancestors + 1)
        for key, origin in above.items():
            if key in merged and merged[key] == origin.value:
                found[key] = origin
    kind = type_name(merged)
    for key, value in merged.items():
        found.setdefault(key, Origin(value, name, kind, ancestors))
    return found


def _lookup(value: Any, path: str) -> Any:
    for key in path.split('.'):
        if isinstance(value, (list, tuple)):
            value = value[int(key)]
        else:
            value = value.get(key)
        if value is None:
            return None
    return value
