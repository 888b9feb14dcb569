# SN Table 5: BN† (frozen) in the backbone, GN in FPN and heads.
_base_ = '../_base_/faster-rcnn_r50_fpn_detectron-1x_coco.py'
norm_cfg = dict(type='GN', num_groups=32)
model = dict(
    backbone=dict(norm_cfg=dict(requires_grad=False), norm_eval=True),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(bbox_head=dict(norm_cfg=norm_cfg)),
)
