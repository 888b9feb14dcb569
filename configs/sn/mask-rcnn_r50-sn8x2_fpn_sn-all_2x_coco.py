# SN Table 6, from SN (8,2); stem and stage 1 frozen as in Detectron.
_base_ = '../_base_/mask-rcnn_r50_fpn_2x_coco.py'
norm_cfg = dict(type='SN')
model = dict(
    backbone=dict(
        frozen_stages=1,
        norm_cfg=norm_cfg,
        init_cfg=dict(checkpoint='checkpoints/resnet50_sn8x2.pth'),
    ),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)
    ),
)
