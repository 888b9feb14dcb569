"""What makes a module compute something else than its class does."""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrize

_HOOKS = (
    '_forward_hooks',
    '_forward_pre_hooks',
    '_backward_hooks',
    '_backward_pre_hooks',
)


def has_hooks(module: nn.Module) -> bool:
    """Return whether hooks see or change a module's inputs or outputs."""
    return any(getattr(module, name, None) for name in _HOOKS)


def alteration(module: nn.Module) -> str | None:
    """Tell how a module was altered, in words that follow its name.

    Return None if it is as its class made it.
    """
    if has_hooks(module):
        return 'has hooks (pruning, for one, registers them)'
    if parametrize.is_parametrized(module):
        return 'has parametrized weights'
    for name in vars(module):
        if callable(getattr(type(module), name, None)):
            return f'has a {name} of its own'
    return None
