# SN Table 6: BN† (frozen) in the backbone, heads without norms.
_base_ = '../_base_/mask-rcnn_r50_fpn_detectron-2x_coco.py'
model = dict(
    backbone=dict(norm_cfg=dict(requires_grad=False), norm_eval=True),
    roi_head=dict(bbox_head=dict(type='Shared2FCBBoxHead')),
)
