"""The backbones in the registries of mmdet and mmseg."""

from importlib import import_module
from importlib.util import find_spec


def register_backbones(toolkit: str) -> None:
    """Make the backbones known to the ``MODELS`` registry of a toolkit.

    Args:
        toolkit: ``mmdet`` or ``mmseg``; nothing happens where it is not
            installed.
    """
    if find_spec(toolkit) is None:
        return
    try:
        registry = import_module(f'{toolkit}.registry').MODELS
    # Without a fitting mmcv the toolkit refuses its own import, and says why
    # to who uses it; the norms must not depend on that.
    except (ImportError, AssertionError):
        return
    location = f'whiten_plugins.placement.backbones.{toolkit}'
    # What Registry(locations=...) is for, but for a registry that exists.
    if registry._imported:
        import_module(location)
    elif location not in registry._locations:
        # Not append: registries made without locations share one list.
        registry._locations = [*registry._locations, location]


def install() -> None:
    """Make the backbones known to both toolkits."""
    register_backbones('mmdet')
    register_backbones('mmseg')
