"""Texts of bounded length about what others wrote."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 200  # characters of one of the names


def shorten(names: Sequence[str], most: int = 3) -> str:
    """List the first of many names, and how many there are more.

    Args:
        names: as a file has them, hence of any length and number.
        most: how many to show.

    Example:
        >>> shorten(['a', 'b', 'c', 'd'], most=2)
        'a, b and 2 more'
    """
    shown = ', '.join(
        name if len(name) <= LONGEST else f'{name[:LONGEST]}…'
        for name in names[:most]
    )
    others = len(names) - most
    return f'{shown} and {others} more' if others > 0 else shown
