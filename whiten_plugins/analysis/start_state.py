"""Whether norms are still as they were made, in a model or by its config."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..norms.base import WhiteningNorm
from .norms import keeps_statistics


def statistics_at_start(norm: Any) -> bool:
    """Return whether running statistics are still at their start.

    That is mean 0 and variance 1 (covariance or matrix: identity).
    """
    second = getattr(norm, getattr(norm, 'covariance_buffer', 'running_var'))
    start = torch.ones_like(second)
    if second.dim() > 1:
        start = torch.eye(second.shape[-1]).to(second).expand_as(second)
    return not norm.running_mean.any() and torch.equal(second, start)


def ratios_at_start(norm: Any) -> bool:
    """Return whether a norm's ratio logits are all equal."""
    logits = [norm.mean_weight]
    if not norm.tie_weight:
        logits.append(norm.var_weight)
    return all(bool((v == v[..., :1]).all()) for v in logits)


class Weights:
    """Which weights the norms of a config start from.

    Args:
        cfg: the whole config.
    """

    def __init__(self, cfg: Mapping) -> None:
        self.whole = cfg.get('load_from') or cfg.get('resume') or None
        self.model = cfg.get('model') or {}

    def fill(self, name: str, norm: nn.Module) -> bool | None:
        """Return whether a checkpoint has this norm's own state.

        False where there is none or it is another norm's, None where that
        cannot be told.

        Args:
            name: of the norm in the model.
            norm: the norm.
        """
        if self.whole:
            return _holds(str(self.whole), name, norm)
        prefix, source = self._pretrained(name)
        if source is None:
            return False
        return _holds(source, name.removeprefix(prefix), norm)

    def any(self, name: str) -> bool:
        """Return whether some checkpoint fills this part of the model."""
        return bool(self.whole) or self._pretrained(name)[1] is not None

    def _pretrained(self, name: str) -> tuple[str, str | None]:
        """Return the prefix and the checkpoint of the part that holds a norm.

        The part is the innermost with an ``init_cfg`` of type Pretrained, or
        mmseg's ``pretrained``.
        """
        found: tuple[str, str | None] = ('', None)
        part: Any = self.model
        prefix = ''
        if part.get('pretrained') and name.startswith('backbone.'):
            found = 'backbone.', str(part['pretrained'])
        for key in ('', *name.split('.')):
            if key:
                prefix += f'{key}.'
                part = part.get(key) if isinstance(part, Mapping) else None
            if not isinstance(part, Mapping):
                break
            init = part.get('init_cfg')
            if isinstance(init, Mapping) and init.get('type') == 'Pretrained':
                found = prefix, str(init.get('checkpoint'))
        return found


def _holds(source: str, name: str, norm: nn.Module) -> bool | None:
    if source.startswith(('torchvision://', 'open-mmlab://')):
        return not isinstance(norm, WhiteningNorm)  # all have torch's norms
    keys, name = _keys(source), name.removeprefix('backbone.')
    if keys is None or not any(key.startswith(f'{name}.') for key in keys):
        return None
    if getattr(norm, 'has_ratios', False):
        return f'{name}.mean_weight' in keys
    return keeps_statistics(norm) == (f'{name}.running_mean' in keys)


@lru_cache(8)
def _keys(source: str) -> frozenset[str] | None:
    """Return the keys of a checkpoint on this machine.

    None where it cannot be read; who loads it will say so. A backbone's
    have no prefix.
    """
    if not Path(source).is_file():
        return None
    try:
        content = torch.load(source, 'cpu', weights_only=True)
    except Exception:  # arbitrary bytes raise arbitrary errors
        return None
    for key in ('state_dict', 'model'):
        if isinstance(content, Mapping) and key in content:
            content = content[key]
            break
    if not isinstance(content, Mapping):
        return None
    return frozenset(
        str(key).removeprefix('module.').removeprefix('backbone.')
        for key in content
    )
