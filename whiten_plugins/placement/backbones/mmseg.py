"""The backbones of mmseg's scope."""

from mmseg.models.backbones import (
    HRNet,
    MobileNetV2,
    MobileNetV3,
    ResNeSt,
    ResNet,
    ResNetV1c,
    ResNeXt,
    SwinTransformer,
)
from mmseg.registry import MODELS
from torch import nn

from .mixin import whitened


def _register(backbone: type[nn.Module]) -> type[nn.Module]:
    return MODELS.register_module(module=whitened(backbone, __name__))


WhitenHRNet = _register(HRNet)
WhitenMobileNetV2 = _register(MobileNetV2)
WhitenMobileNetV3 = _register(MobileNetV3)
WhitenResNeSt = _register(ResNeSt)
WhitenResNet = _register(ResNet)
WhitenResNetV1c = _register(ResNetV1c)
WhitenResNeXt = _register(ResNeXt)
WhitenSwinTransformer = _register(SwinTransformer)
