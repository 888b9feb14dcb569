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

from .mixin import WhitenMixin

__all__ = ['WhitenMixin']
