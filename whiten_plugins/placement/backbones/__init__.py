"""Backbones of mmdet and mmseg with whitening at chosen norms.

``Whiten`` before the name of a toolkit's backbone is that backbone with the
arguments ``whiten_cfg`` and ``whiten_at``:

===== ================================================================
scope types
===== ================================================================
mmdet ``WhitenResNet``, ``WhitenResNeXt``, ``WhitenRegNet``,
      ``WhitenRes2Net``, ``WhitenResNeSt``, ``WhitenHRNet``,
      ``WhitenMobileNetV2``, ``WhitenSwinTransformer``
mmseg ``WhitenResNet``, ``WhitenResNetV1c``, ``WhitenResNeXt``,
      ``WhitenResNeSt``, ``WhitenHRNet``, ``WhitenMobileNetV2``,
      ``WhitenMobileNetV3``, ``WhitenSwinTransformer``
===== ================================================================

They are registered where the toolkit is installed, and imported when its
registry first looks up a model: importing mmdet's and mmseg's models takes
seconds, which importing this package must not.
"""

from .mixin import WhitenMixin, whitened

__all__ = ['WhitenMixin', 'whitened']
