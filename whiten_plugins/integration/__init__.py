"""What importing this package changes elsewhere; README.md says each.

A change is made right after what it changes was imported, so that importing
this package costs neither.
"""

from __future__ import annotations

import os
from functools import partial
from importlib import import_module

from .on_import import on_import

VARIABLE = 'WHITEN_PLUGINS_WITHOUT'
# By name, what has to be imported, and the module here whose `install` acts.
CHANGES = {
    'norm_eval': ('mmengine.model', 'norm_eval'),
    'optimizer': ('mmengine.optim', 'optimizer'),
    'batch_norm': ('mmengine', 'batch_norm'),
    'backbones': ('mmengine', 'registries'),
    'safe_globals': ('mmengine', 'safe_globals'),
    'config_packages': ('mmengine', 'config_packages'),
    'configs': ('mmengine', 'own_configs'),
}


def wanted_changes(without: str) -> list[str]:
    """Return the names of the changes that are not switched off.

    Args:
        without: names of changes, separated by commas, or ``all``.

    Raises:
        ValueError: if there is no change of such a name.
    """
    named = {name.strip() for name in without.split(',')} - {''}
    unknown = sorted(named - {*CHANGES, 'all'})
    if unknown:
        raise ValueError(
            f'{VARIABLE} may name {", ".join(CHANGES)} or all; got '
            f'{", ".join(unknown)}'
        )
    return [name for name in CHANGES if not named & {name, 'all'}]


def start() -> None:
    """Register what this package has and make its changes, when due."""
    # Checkpoints are read with torch alone, and mmengine's need a change.
    on_import('torch', partial(import_module, 'mmengine'))
    on_import('mmengine', partial(_call, 'registries', 'register_own'))
    for name in wanted_changes(os.environ.get(VARIABLE, '')):
        changed, module = CHANGES[name]
        on_import(changed, partial(_call, module, 'install'))


def _call(module: str, function: str) -> None:
    getattr(import_module(f'{__name__}.{module}'), function)()
