# SN Table 6: SN in backbone, FPN and heads, from SN (8,2).
_base_ = '../_base_/mask-rcnn_r50_fpn_detectron-2x_coco.py'
norm_cfg = dict(type='SN')
model = dict(
    backbone=dict(
        norm_cfg=norm_cfg,
        init_cfg=dict(checkpoint='checkpoints/resnet50_sn8x2.pth'),
    ),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)
    ),
)
custom_hooks = _base_.batch_average
