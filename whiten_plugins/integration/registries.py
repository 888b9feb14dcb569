"""Modules that the registries of mmdet and mmseg import with their own."""

from importlib import import_module
from importlib.util import find_spec


def add_location(toolkit: str, registry_name: str, location: str) -> None:
    """Let a registry of a toolkit import a module of this package.

    Args:
        toolkit: ``mmdet`` or ``mmseg``; nothing happens where it is not
            installed.
        registry_name: name of the registry in the toolkit's ``registry``.
        location: name of the module.
    """
    if find_spec(toolkit) is None:
        return
    try:
        registry = getattr(import_module(f'{toolkit}.registry'), registry_name)
    # Without a fitting mmcv the toolkit refuses its own import, and says why
    # to who uses it; the norms must not depend on that.
    except (ImportError, AssertionError):
        return
    # What Registry(locations=...) is for, but for a registry that exists.
    if registry._imported:
        import_module(location)
    elif location not in registry._locations:
        # Not append: registries made without locations share one list.
        registry._locations = [*registry._locations, location]


def register_backbones(toolkit: str) -> None:
    """Make the backbones known to the ``MODELS`` registry of a toolkit."""
    location = f'whiten_plugins.placement.backbones.{toolkit}'
    add_location(toolkit, 'MODELS', location)


def install() -> None:
    """Make the backbones known to both toolkits."""
    register_backbones('mmdet')
    register_backbones('mmseg')
