# PSPNet on a ResNet-18 of a quarter of the width, trained from scratch. Its
# stride of 8 makes a digit some eight cells large: no dilation is needed.
_base_ = 'mmseg::_base_/models/pspnet_r50-d8.py'
custom_imports = dict(imports=['whiten_plugins'], allow_failed_imports=False)

norm_cfg = dict(type='SW')
crop_size = (80, 80)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        depth=18,
        stem_channels=16,
        base_channels=16,
        dilations=(1, 1, 1, 1),
        zero_init_residual=False,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        in_channels=128,
        channels=32,
        num_classes=11,
        # Not 1: SW has no statistic for one image on its 1×1 map, and every
        # norm is to be the one norm_cfg.
        pool_scales=(2, 3, 6),
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=dict(
        in_channels=64, channels=32, num_classes=11, norm_cfg=norm_cfg
    ),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(40, 40)),
)
