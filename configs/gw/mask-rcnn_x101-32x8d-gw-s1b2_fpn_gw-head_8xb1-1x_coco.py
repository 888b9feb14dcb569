# GW Table 5: GW at s1b2, frozen BN elsewhere; GW in FPN and heads.
_base_ = '../_base_/mask-rcnn_x101-32x8d_fpn_8xb1-1x_coco.py'
norm_cfg = dict(type='GW')
model = dict(
    backbone=dict(
        type='WhitenResNeXt',
        norm_cfg=dict(requires_grad=False),
        whiten_cfg=norm_cfg,
        whiten_at='s1b2',
        init_cfg=dict(checkpoint='checkpoints/resnext101-32x8d_gw-s1b2.pth'),
    ),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)
    ),
)
