"""What this package adds to registries that others made."""

from functools import partial
from importlib import import_module

from mmengine.registry import HOOKS, MODELS, Registry

from .on_import import on_import

TOOLKITS = ('mmdet', 'mmseg')
_PACKAGE = __name__.partition('.')[0]
# The modules that register themselves, by what they are made from.
_REGISTERED = {
    'mmengine': ('norms', 'integration.labels'),
    'mmengine.optim': ('integration.optimizer',),
}
# What needs the runner, by name: imported when a registry is asked for it.
_ON_DEMAND = (
    (
        HOOKS,
        {
            'RatioHook': 'ratios.hook',
            'BatchAverageHook': 'calibration.hook',
            'RandomStateHook': 'runner.random_state',
        },
    ),
    (MODELS, {'FoldedModel': 'deploy.folded_model'}),
)


class ModulesOnDemand(dict):
    """The modules of a registry, some of which are imported when asked for.

    ``Registry(locations=...)`` would not do: the toolkits' registries look
    into mmengine's without letting it import its locations.

    Args:
        modules: what is registered, by name.
        sources: the module that registers another one, by the name of it,
            with ``force=True``, for the name counts as taken.
    """

    def __init__(self, modules: dict, sources: dict[str, str]) -> None:
        super().__init__(modules)
        self._sources = sources

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._sources

    def __missing__(self, name: str) -> object:
        import_module(self._sources[name])
        return super().__getitem__(name)


def add_location(toolkit: str, registry_name: str, location: str) -> None:
    """Let a registry of a toolkit import a module of this package.

    Args:
        toolkit: ``mmdet`` or ``mmseg``; nothing happens until it is imported.
        registry_name: name of the registry in the toolkit's ``registry``.
        location: name of the module.
    """
    module = f'{toolkit}.registry'
    on_import(
        module,
        lambda: _add(getattr(import_module(module), registry_name), location),
    )


def _add(registry: Registry, module: str) -> None:
    """Have a registry import a module before its first look-up.

    What ``Registry(locations=...)`` is for, but for a registry that exists.
    """
    if registry._imported:
        import_module(module)
    elif module not in registry._locations:
        # Not append: registries made without locations share one list.
        registry._locations = [*registry._locations, module]


def register_own() -> None:
    """Make the norms, hooks and so on known to mmengine's registries."""
    for made_from, modules in _REGISTERED.items():
        for module in modules:
            name = f'{_PACKAGE}.{module}'
            on_import(made_from, partial(import_module, name))
    for registry, names in _ON_DEMAND:
        sources = {name: f'{_PACKAGE}.{m}' for name, m in names.items()}
        registry._module_dict = ModulesOnDemand(registry._module_dict, sources)


def register_backbones(toolkit: str) -> None:
    """Make the backbones known to the ``MODELS`` registry of a toolkit."""
    location = f'{_PACKAGE}.placement.backbones.{toolkit}'
    add_location(toolkit, 'MODELS', location)


def install() -> None:
    """Make the backbones known to both toolkits."""
    for toolkit in TOOLKITS:
        register_backbones(toolkit)
