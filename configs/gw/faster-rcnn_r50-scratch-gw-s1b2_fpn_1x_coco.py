# GW section 5.2, small batches from scratch: GW at s1b2, BN elsewhere trained.
_base_ = './faster-rcnn_r50-scratch-bn_fpn_1x_coco.py'
model = dict(
    backbone=dict(
        type='WhitenResNet', whiten_cfg=dict(type='GW'), whiten_at='s1b2'
    )
)
