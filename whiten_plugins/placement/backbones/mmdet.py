"""The backbones of mmdet's scope."""

from mmdet.models.backbones import ResNet, ResNeXt
from mmdet.registry import MODELS

from .mixin import WhitenMixin


@MODELS.register_module()
class WhitenResNet(WhitenMixin, ResNet):
    """mmdet's :class:`ResNet` with norms placed in it.

    Args:
        whiten_cfg, whiten_at: as :class:`WhitenMixin`.
        others: as :class:`mmdet.models.ResNet`.
    """


@MODELS.register_module()
class WhitenResNeXt(WhitenMixin, ResNeXt):
    """mmdet's :class:`ResNeXt` with norms placed in it.

    Args:
        whiten_cfg, whiten_at: as :class:`WhitenMixin`.
        others: as :class:`mmdet.models.ResNeXt`.
    """
