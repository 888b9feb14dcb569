"""The text of a config in the pure-Python style, from one of strings."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.registry import Registry


def python_style(cfg: Config, package: str) -> str:
    """Write a config with each type as the class that its name stands for.

    Args:
        cfg: with types as strings.
        package: the toolkit whose registries know them.
    """
    names: dict[type, str] = {}
    body = ''.join(
        f'{key} = {_text(value, names, list(_registries(package)))}\n'
        for key, value in cfg.to_dict().items()
        if key not in ('custom_imports', 'default_scope')
    )
    imports = ''.join(
        f'from {kind.__module__} import {kind.__qualname__} as {name}\n'
        for kind, name in names.items()
    )
    return f'import whiten_plugins\n{imports}{body}'


def _registries(package: str) -> Iterator[Registry]:
    for module in (f'{package}.registry', 'mmengine.registry'):
        for value in vars(importlib.import_module(module)).values():
            if isinstance(value, Registry):
                yield value


def _text(
    value: object, names: dict[type, str], registries: list[Registry]
) -> str:
    if isinstance(value, dict):
        items = [
            f'{key!r}: {_type_text(item, names, registries)}'
            if key == 'type'
            else f'{key!r}: {_text(item, names, registries)}'
            for key, item in value.items()
        ]
        return f'{{{", ".join(items)}}}'
    if isinstance(value, (list, tuple)):
        items = [_text(item, names, registries) for item in value]
        return f'{type(value).__name__}([{", ".join(items)}])'
    return repr(value)


def _type_text(
    kind: object, names: dict[type, str], registries: list[Registry]
) -> str:
    name = str(kind).rpartition('.')[2]
    found = (r.module_dict.get(name) for r in registries)
    kind = next((k for k in found if isinstance(k, type)), None)
    if kind is None or '<locals>' in kind.__qualname__:
        return repr(name)
    return names.setdefault(kind, f'Type{len(names)}')
