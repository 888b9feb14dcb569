"""The backbones of mmseg's scope."""

from mmseg.models.backbones import ResNet, ResNetV1c
from mmseg.registry import MODELS

from .mixin import WhitenMixin


@MODELS.register_module()
class WhitenResNet(WhitenMixin, ResNet):
    """mmseg's :class:`ResNet` with norms placed in it.

    Args:
        whiten_cfg, whiten_at: as :class:`WhitenMixin`.
        others: as :class:`mmseg.models.ResNet`.
    """


@MODELS.register_module()
class WhitenResNetV1c(WhitenMixin, ResNetV1c):
    """mmseg's :class:`ResNetV1c` (deep stem) with norms placed in it.

    Args:
        whiten_cfg, whiten_at: as :class:`WhitenMixin`.
        others: as :class:`mmseg.models.ResNetV1c`.
    """
