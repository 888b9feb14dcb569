# DeepLabV3 on a ResNet-18 of half the width, trained from scratch.
_base_ = 'mmseg::_base_/models/deeplabv3_r50-d8.py'
custom_imports = dict(imports=['whiten_plugins'], allow_failed_imports=False)

norm_cfg = dict(type='SW')
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(160, 160)),
    backbone=dict(
        depth=18,
        stem_channels=32,
        base_channels=32,
        zero_init_residual=False,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        in_channels=256,
        channels=64,
        dilations=(1, 3, 6, 9),
        num_classes=11,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(
        in_channels=128, channels=64, num_classes=11, norm_cfg=norm_cfg
    ),
)
