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
    'mmengine.runner': (
        'ratios.hook',
        'calibration.hook',
        'deploy.folded_model',
    ),
}
# Those of the above that a registry may be asked for before anything else.
_LOCATIONS = (
    (HOOKS, 'ratios.hook'),
    (HOOKS, 'calibration.hook'),
    (MODELS, 'deploy.folded_model'),
)


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
    """Make the norms, hooks and so on known to mmengine's registries.

    The toolkits' registries look into mmengine's without letting it import
    its locations. Whatever builds hooks or whole models has imported the
    runner, though.
    """
    for made_from, modules in _REGISTERED.items():
        for module in modules:
            name = f'{_PACKAGE}.{module}'
            on_import(made_from, partial(import_module, name))
    for registry, module in _LOCATIONS:
        _add(registry, f'{_PACKAGE}.{module}')


def register_backbones(toolkit: str) -> None:
    """Make the backbones known to the ``MODELS`` registry of a toolkit."""
    location = f'{_PACKAGE}.placement.backbones.{toolkit}'
    add_location(toolkit, 'MODELS', location)


def install() -> None:
    """Make the backbones known to both toolkits."""
    for toolkit in TOOLKITS:
        register_backbones(toolkit)
