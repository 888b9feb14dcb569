# GW Table 4, 2fc head: GW at s1b2, frozen BN elsewhere.
_base_ = '../_base_/faster-rcnn_r50_fpn_benchmark-1x_coco.py'
model = dict(
    backbone=dict(
        type='WhitenResNet',
        norm_cfg=dict(requires_grad=False),
        whiten_cfg=dict(type='GW'),
        whiten_at='s1b2',
        init_cfg=dict(checkpoint='checkpoints/resnet50_gw-s1b2.pth'),
    )
)
