"""What counts as a norm, and which class a ``norm_cfg`` names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ..norms.base import WhiteningNorm


def is_norm_class(kind: type) -> bool:
    """Return whether a class calls itself, or one of its bases, a norm."""
    return any('norm' in base.__name__.lower() for base in kind.__mro__)


def norm_class(norm_cfg: Mapping, path: str = 'norm_cfg') -> type[nn.Module]:
    """Return the class that a ``norm_cfg`` names, in the current scope.

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


def num_channels(module: nn.Module) -> int | None:
    """Return the channels of a norm that can be replaced.

    Returns:
        None for any other module, 0 for a lazy norm that has seen no input.
    """
    # A norm with children does more than normalize: see compound_norms.
    if not is_norm_class(type(module)) or any(module.children()):
        return None
    for name in ('num_features', 'num_channels'):
        channels = getattr(module, name, None)
        if isinstance(channels, int):
            return channels
    mean = getattr(module, 'running_mean', None)
    if isinstance(mean, Tensor) and mean.dim() == 1:
        return len(mean)  # torchvision's FrozenBatchNorm2d
    return None


def channel_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Return the norms that can be replaced, by name, in module order."""
    return {
        name: module
        for name, module in model.named_modules()
        if name and num_channels(module) is not None
    }


def compound_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Return the norms with channels that cannot be replaced, by name.

    They have modules of their own: timm's BatchNormAct2d an activation, a
    parametrized norm what its weight is made of.
    """
    return {
        name: module
        for name, module in model.named_modules()
        if name
        and isinstance(module, (_NormBase, nn.GroupNorm, WhiteningNorm))
        and num_channels(module) is None
    }
