"""Norms chosen by presets and by patterns on their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from .errors import PlacementError, listed
from .networks import NETWORKS
from .presets import ALL, PRESETS, match_preset


def match_norms(
    names: Iterable[str], whiten_at: str | Sequence[str]
) -> dict[str, str]:
    """Choose norms by their names.

    Args:
        names: names of all norms of a network, in the order of the modules.
        whiten_at: a preset or a list of patterns, as :func:`place_norms`.

    Returns:
        dict[str, str]: The preset or the first pattern that matches, by the
        names of the norms chosen, in the order of ``names``.

    Raises:
        PlacementError: as :func:`place_norms`.
    """
    names = list(names)
    if whiten_at == ALL:
        return dict.fromkeys(names, ALL)
    if isinstance(whiten_at, (list, tuple)):
        return _match_patterns(names, whiten_at)
    if whiten_at in NETWORKS:
        return _match_network(names, whiten_at)
    if whiten_at not in PRESETS:
        raise PlacementError(
            f'whiten_at={whiten_at!r} is no preset; presets are '
            f'{", ".join((*PRESETS, ALL))}, of other networks than ResNets '
            f'{", ".join(NETWORKS)}, and patterns go into a list: '
            f'whiten_at=[{whiten_at!r}]'
        )
    chosen = match_preset(names, whiten_at)
    return {name: whiten_at for name in names if name in chosen}


def _match_network(names: list[str], network: str) -> dict[str, str]:
    """Choose by the first list of patterns of which each matches a norm."""
    for patterns in NETWORKS[network]:
        try:
            found = _match_patterns(names, patterns)
        except PlacementError:
            continue
        return dict.fromkeys(found, network)
    wanted = ' or '.join(', '.join(p) for p in NETWORKS[network])
    raise PlacementError(
        f'whiten_at={network!r} needs a network with norms named as in '
        f'{wanted}; {listed(names)}'
    )


def _match_patterns(
    names: list[str], patterns: Sequence[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for pattern in patterns:
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            raise PlacementError(
                f'whiten_at: {pattern!r} matches no norm; {listed(names)}'
            )
        found = {**dict.fromkeys(matched, pattern), **found}
    if not found:
        raise PlacementError(f'whiten_at={patterns!r} names no norm')
    return {name: found[name] for name in names if name in found}
