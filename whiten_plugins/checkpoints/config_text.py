"""Find the SN and SW settings in the config text of a checkpoint.

A state dict holds ratios but not the names of their statistics, nor whether
the layer was hard; the config does. Its text is Python from an untrusted
file, so it is read as literals and never executed.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from ..norms.switchable import SN_STATS, SW_STATS

_KNOWN = {
    'SN': [
        order for count in (1, 2, 3) for order in permutations(SN_STATS, count)
    ],
    'SW': list(SW_STATS.values()),
}


@dataclass(frozen=True)
class NormSetting:
    """One ``dict(type='SN', ...)`` or ``dict(type='SW', ...)`` of a model.

    Attributes:
        owner: attribute path of the module it was given
            to, e.g. ``('roi_head', 'bbox_head')``.
        type: 'SN' or 'SW', also for their Sync versions.
        stats: its statistics in the order of the logits.
        hard: whether only the largest ratio counts.
    """

    owner: tuple[str, ...]
    type: str
    stats: tuple[str, ...]
    hard: bool


def find_settings(config: str | None) -> list[NormSetting]:
    """List the SN and SW settings of a config's ``model``.

    Args:
        config: python text as mmengine's
            `Config.pretty_text` writes it.

    Returns:
        list[NormSetting]: In the order of the text; empty where there is no
        config or it is not such text.
    """
    try:
        models = [
            _literal(statement.value)
            for statement in ast.parse(config or '').body
            if isinstance(statement, ast.Assign)
            and getattr(statement.targets[0], 'id', None) == 'model'
        ]
        return list(_walk(models[-1], ())) if models else []
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return []


def settings_of(
    layer: str, kind: str, num_stats: int, settings: list[NormSetting]
) -> list[NormSetting]:
    """The settings that may have built a layer.

    Args:
        layer: name of the layer in the network.
        kind: 'SN' or 'SW'.
        num_stats: how many statistics it mixes.
        settings: those of the network's config.

    Returns:
        list[NormSetting]: Those of this kind and number of statistics that
        were given to the innermost module around the layer; one, unless the
        config is ambiguous or says nothing.
    """
    components = tuple(layer.split('.'))
    nearest: dict[int, list[NormSetting]] = {}
    for setting in settings:
        if (setting.type, len(setting.stats)) == (kind, num_stats):
            inside = components[: len(setting.owner)] == setting.owner
            depth = len(setting.owner) if inside else -1
            nearest.setdefault(depth, []).append(setting)
    return nearest[max(nearest)] if nearest else []


def _literal(node: ast.expr) -> Any:
    """Nested dicts, tuples and constants; None for anything else."""
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
        return {item.arg: _literal(item.value) for item in node.keywords}
    if isinstance(node, ast.Dict):
        keys = [key and _literal(key) for key in node.keys]
        return {
            key: _literal(value)
            for key, value in zip(keys, node.values)
            if isinstance(key, str)
        }
    if isinstance(node, (ast.List, ast.Tuple)):
        return tuple(_literal(item) for item in node.elts)
    return node.value if isinstance(node, ast.Constant) else None


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[NormSetting]:
    if isinstance(value, tuple):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        return
    kind = str(value.get('type')).rsplit('.', 1)[-1].removeprefix('Sync')
    stats = ()
    if kind == 'SN':
        stats = value.get('stats', SN_STATS)
    elif kind == 'SW' and isinstance(value.get('sw_type', 2), int):
        stats = SW_STATS.get(value.get('sw_type', 2), ())
    if stats in _KNOWN.get(kind, ()):
        yield NormSetting(path[:-1], kind, stats, value.get('hard') is True)
    for key, item in value.items():
        yield from _walk(item, (*path, str(key)))
