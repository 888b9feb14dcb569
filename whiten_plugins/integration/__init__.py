"""What importing this package changes elsewhere; README.md says each."""

from __future__ import annotations

import os
from collections.abc import Callable

from . import (
    batch_norm,
    config_packages,
    labels,
    norm_eval,
    optimizer,
    registries,
    safe_globals,
)

__all__ = [
    'CHANGES',
    'VARIABLE',
    'batch_norm',
    'config_packages',
    'labels',
    'norm_eval',
    'optimizer',
    'registries',
    'safe_globals',
    'wanted_changes',
]

VARIABLE = 'WHITEN_PLUGINS_WITHOUT'
CHANGES: dict[str, Callable[[], None]] = {
    'norm_eval': norm_eval.install,
    'optimizer': optimizer.install,
    'batch_norm': batch_norm.install,
    'backbones': registries.install,
    'safe_globals': safe_globals.install,
    'config_packages': config_packages.install,
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


for name in wanted_changes(os.environ.get(VARIABLE, '')):
    CHANGES[name]()
