"""The norms of a model, one row each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.registry import MODELS, DefaultScope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from ..norms.base import WhiteningNorm
from ..placement.norm_types import norm_class, num_channels


@dataclass(frozen=True)
class NormInfo:
    """One norm of a model.

    Attributes:
        name: name of the module in the model.
        type: as a ``norm_cfg`` names it; else the class.
        channels: C.
        groups: number of groups and members of each; None where channels
            are normalized one by one or all together.
        statistics: 'bn', 'bw', 'in', 'iw', 'ln', 'gn' or, groups of channels
            whitened against each other, 'gw'.
        trainable: whether a parameter is trained; None without parameters.
        evaluating: whether it stays in evaluation mode in training, with its
            running statistics.
        source: the config key that put it there: a ``norm_cfg``, or a
            ``whiten_at`` and the preset or pattern; 'built in' where the
            config does not say.
    """

    name: str
    type: str
    channels: int
    groups: tuple[int, int] | None
    statistics: tuple[str, ...]
    trainable: bool | None
    evaluating: bool
    source: str

    @property
    def state(self) -> str:
        """What trains and which statistics serve, in words."""
        words = {True: 'trainable', False: 'frozen', None: 'no parameters'}
        mode = ', running statistics' if self.evaluating else ''
        return words[self.trainable] + mode


def list_norms(model: nn.Module, cfg: Mapping | None = None) -> list[NormInfo]:
    """List every norm of a model as training has it.

    Args:
        model: the model, which is left in training mode.
        cfg: the whole config it was built from.

    Returns:
        list[NormInfo]: In the order of the modules.
    """
    model.train()
    names = _registered_names()
    rows = []
    for name, module in model.named_modules():
        channels = _channels(module)
        if channels is None:
            continue
        kind = names.get(type(module), type(module).__name__)
        wanted = [p.requires_grad for p in module.parameters()]
        rows.append(
            NormInfo(
                name,
                kind,
                channels,
                _groups(module, channels),
                statistics_of(module),
                any(wanted) if wanted else None,
                not module.training and keeps_statistics(module),
                source_of(name, module, cfg or {}),
            )
        )
    return rows


def source_of(name: str, norm: nn.Module, cfg: Mapping) -> str:
    """Return the config key that put a norm where it is.

    Args:
        name: its name in the model.
        norm: the module.
        cfg: the whole config.
    """
    placement = getattr(norm, 'placement', None)
    key = 'whiten_at' if placement else 'norm_cfg'
    path, found = _innermost(name, cfg.get('model'), key)
    if placement:
        return f'{path}={placement}'
    if found is None:
        return 'built in'
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return path if norm_class(found) is type(norm) else 'built in'


def _innermost(name: str, cfg: Any, key: str) -> tuple[str, Any]:
    """Look up ``key`` in the innermost config dict on the way to a module.

    Returns:
        tuple: Its dotted name and its value; the bare key and None where
        there is none.
    """
    path, found = 'model', (key, None)
    for part in name.split('.'):
        if isinstance(cfg, (list, tuple)) and part.isdecimal():
            cfg = cfg[int(part)] if int(part) < len(cfg) else None
        elif isinstance(cfg, Mapping):
            cfg = cfg.get(part)
        if cfg is None:
            break
        path = f'{path}.{part}'
        if isinstance(cfg, Mapping) and cfg.get(key) is not None:
            found = (f'{path}.{key}', cfg[key])
    return found


def _registered_names() -> dict[type, str]:
    """Return the norms' names in configs, the first of several."""
    names: dict[type, str] = {}
    for name, item in MODELS.module_dict.items():
        names.setdefault(item, name)
    return names


def _channels(module: nn.Module) -> int | None:
    shape = getattr(module, 'normalized_shape', None)  # LayerNorm
    return math.prod(shape) if shape else num_channels(module)


def _groups(norm: nn.Module, channels: int) -> tuple[int, int] | None:
    if isinstance(norm, WhiteningNorm):
        if not norm.spec.whitens:
            return None
        rows = norm.spec.num_rows
        sizes = (channels // rows, rows)
        return sizes[::-1] if norm.spec.across_groups else sizes
    if isinstance(norm, nn.GroupNorm):
        return norm.num_groups, channels // norm.num_groups
    return None


def statistics_of(norm: nn.Module) -> tuple[str, ...]:
    """Return the names of the statistics that a norm normalizes by.

    'gn' and 'gw' are those of groups of channels, of each sample. Empty
    where not known.
    """
    if isinstance(norm, WhiteningNorm):
        return ('gw',) if norm.spec.across_groups else norm.spec.stats
    known = {
        _BatchNorm: 'bn',
        _InstanceNorm: 'in',
        nn.GroupNorm: 'gn',
        nn.LayerNorm: 'ln',
    }
    return tuple(s for base, s in known.items() if isinstance(norm, base))


def keeps_statistics(norm: nn.Module) -> bool:
    """Return whether a norm has running statistics."""
    return getattr(norm, 'running_mean', None) is not None
