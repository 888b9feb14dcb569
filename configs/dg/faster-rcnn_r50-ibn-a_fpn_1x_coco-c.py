# BN† (frozen) elsewhere.
_base_ = '../_base_/faster-rcnn_r50_fpn_1x_coco-c.py'
model = dict(
    backbone=dict(
        type='WhitenResNet', whiten_cfg=dict(type='IBN'), whiten_at='ibn-a'
    )
)
