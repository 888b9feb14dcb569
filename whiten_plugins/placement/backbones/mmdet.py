"""The backbones of mmdet's scope."""

from mmdet.models.backbones import (
    HRNet,
    MobileNetV2,
    RegNet,
    Res2Net,
    ResNeSt,
    ResNet,
    ResNeXt,
    SwinTransformer,
)
from mmdet.registry import MODELS
from torch import nn

from .mixin import whitened


def _register(backbone: type[nn.Module]) -> type[nn.Module]:
    return MODELS.register_module(module=whitened(backbone, __name__))


WhitenHRNet = _register(HRNet)
WhitenMobileNetV2 = _register(MobileNetV2)
WhitenRegNet = _register(RegNet)
WhitenRes2Net = _register(Res2Net)
WhitenResNeSt = _register(ResNeSt)
WhitenResNet = _register(ResNet)
WhitenResNeXt = _register(ResNeXt)
WhitenSwinTransformer = _register(SwinTransformer)
