"""Act when another package is imported, instead of importing it.

Importing mmdet or mmengine's models takes seconds. What this package changes
in them is therefore done right after they were imported, by whoever needs
them, or at once where they are there already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Effect = Callable[[], object]


def on_import(name: str, effect: Effect) -> None:
    """Call ``effect`` once, as soon as a module is imported completely.

    Args:
        name: full name of the module; it need not be installed.
        effect: what to do; its errors are those of the import.
    """
    module = sys.modules.get(name)
    spec = getattr(module, '__spec__', None)
    if module is not None and not getattr(spec, '_initializing', False):
        effect()
        return
    _FINDER.effects.setdefault(name, []).append(effect)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


class _Finder(MetaPathFinder):
    """Find what the other finders find, and add the effects to its loader."""

    def __init__(self) -> None:
        self.effects: dict[str, list[Effect]] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in self.effects:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, 'find_spec', None)
            if finder is self or find is None:
                continue
            spec = find(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader(Loader):
    """A module's own loader, followed by the effects of its import."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Its own again: what reads resources asks the loader what it is.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        # An effect may ask for more effects of this very module.
        while effects := _FINDER.effects.pop(module.__name__, None):
            for effect in effects:
                effect()


_FINDER = _Finder()
