# GW Table 5: frozen BN; FPN and heads without norms.
_base_ = '../_base_/mask-rcnn_x101-32x8d_fpn_8xb1-1x_coco.py'
model = dict(
    backbone=dict(
        norm_cfg=dict(requires_grad=False),
        init_cfg=dict(checkpoint='torchvision://resnext101_32x8d'),
    )
)
