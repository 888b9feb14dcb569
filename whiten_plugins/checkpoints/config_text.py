"""Find norms that learn ratios in the config text of a checkpoint.

A state dict that does not describe its norms holds ratios, but neither the
names of their statistics nor whether the layer was hard; the config may. Its
text is Python from an untrusted file, so it is read as literals and never
executed.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.registry import MODELS

from ..norms.base import WhiteningNorm


@dataclass(frozen=True)
class ConfiguredNorm:
    """One ``dict(type='SN', ...)`` or the like of a model.

    Attributes:
        owner: attribute path of the module it was given
            to, e.g. ``('roi_head', 'bbox_head')``.
        type: its type, of a Sync norm the local one.
        stats: its statistics in the order of the logits.
        hard: whether only the largest ratio counts.
        buffer: the buffer with its running variances, covariances or
            whitening matrices; None where it keeps none.
    """

    owner: tuple[str, ...]
    type: str
    stats: tuple[str, ...]
    hard: bool
    buffer: str | None


def find_norms(config: str | None) -> list[ConfiguredNorm]:
    """List the norms with ratios in a config's ``model``.

    Args:
        config: python text as mmengine's
            `Config.pretty_text` writes it.

    Returns:
        list[ConfiguredNorm]: In the order of the text; empty where there is
        no config or it is not such text.
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


def norms_of(
    layer: str,
    num_stats: int,
    buffer: str | None,
    norms: list[ConfiguredNorm],
) -> list[ConfiguredNorm]:
    """Return the norms of a config that may have built a layer.

    Args:
        layer: name of the layer in the network.
        num_stats: how many statistics it mixes.
        buffer: the buffer with its running variances, covariances or
            whitening matrices; None where it keeps none.
        norms: those of the network's config.

    Returns:
        list[ConfiguredNorm]: Those with this number of statistics and this
        buffer that were given to the innermost module around the layer;
        one, unless the config is ambiguous or says nothing.
    """
    components = tuple(layer.split('.'))
    nearest: dict[int, list[ConfiguredNorm]] = {}
    for norm in norms:
        if (len(norm.stats), norm.buffer) == (num_stats, buffer):
            inside = components[: len(norm.owner)] == norm.owner
            depth = len(norm.owner) if inside else -1
            nearest.setdefault(depth, []).append(norm)
    return nearest[max(nearest)] if nearest else []


def _literal(node: ast.expr) -> Any:
    """Evaluate nested dicts, lists, tuples and constants.

    Lists become tuples, and anything else None.
    """
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


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[ConfiguredNorm]:
    if isinstance(value, tuple):
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        return
    norm = _build(value)
    if norm is not None and norm.has_ratios:
        described = norm.description
        yield ConfiguredNorm(
            path[:-1],
            described.type,
            described.spec.stats,
            described.spec.hard,
            norm.covariance_buffer,
        )
    for key, item in value.items():
        yield from _walk(item, (*path, str(key)))


def _build(cfg: dict[str, Any]) -> WhiteningNorm | None:
    """Build the norm that a dict describes, with one channel and no storage.

    Return None if it does not describe a norm of this package.
    """
    name = str(cfg.get('type')).rsplit('.', 1)[-1]
    kind = MODELS.module_dict.get(name)
    if not (isinstance(kind, type) and issubclass(kind, WhiteningNorm)):
        return None
    unused = ('type', 'requires_grad', 'num_features')
    arguments = {k: v for k, v in cfg.items() if k not in unused}
    arguments = {k: v for k, v in arguments.items() if v is not None}
    try:
        with torch.device('meta'):
            return kind(num_features=1, **arguments)
    except Exception:  # arguments from a file may be anything
        return None
