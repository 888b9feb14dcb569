"""The user's choice of a backend."""

from __future__ import annotations

import os

VARIABLE = 'WHITEN_PLUGINS_BACKEND'
CHOICES = ('auto', 'torch', 'native', 'triton')


def choice() -> str:
    """Return what the environment variable says, ``auto`` if it is unset.

    Raises:
        ValueError: if that is no known choice.
    """
    found = os.environ.get(VARIABLE) or 'auto'
    if found not in CHOICES:
        raise ValueError(
            f'{VARIABLE} must be one of {", ".join(CHOICES)}; got {found!r}'
        )
    return found
