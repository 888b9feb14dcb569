_base_ = '../_base_/mask-rcnn_r50_fpn_1x_coco.py'
norm_cfg = dict(type='SyncSW')
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)
    ),
)
