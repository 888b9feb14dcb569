"""ResNets of mmdet and mmseg with whitening at chosen norms.

===== ==================== ===========================================
scope type                 is, with ``whiten_cfg`` and ``whiten_at``
===== ==================== ===========================================
mmdet ``WhitenResNet``     mmdet's ``ResNet``
mmdet ``WhitenResNeXt``    mmdet's ``ResNeXt``
mmseg ``WhitenResNet``     mmseg's ``ResNet``
mmseg ``WhitenResNetV1c``  mmseg's ``ResNetV1c``
===== ==================== ===========================================

They are registered where the toolkit is installed, and imported when its
registry first looks up a model: importing mmdet's and mmseg's models takes
seconds, which importing this package must not.
"""

from importlib import import_module
from importlib.util import find_spec

from .mixin import WhitenMixin

__all__ = ['WhitenMixin', 'register_backbones']


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
    location = f'{__name__}.{toolkit}'
    # What Registry(locations=...) is for, but for a registry that exists.
    if registry._imported:
        import_module(location)
    elif location not in registry._locations:
        # Not append: registries made without locations share one list.
        registry._locations = [*registry._locations, location]


register_backbones('mmdet')
register_backbones('mmseg')
