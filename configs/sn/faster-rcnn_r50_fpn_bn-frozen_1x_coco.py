# SN Table 5: BN† (frozen) in the backbone, the 2fc head without norms.
_base_ = '../_base_/faster-rcnn_r50_fpn_detectron-1x_coco.py'
model = dict(
    backbone=dict(norm_cfg=dict(requires_grad=False), norm_eval=True),
    roi_head=dict(bbox_head=dict(type='Shared2FCBBoxHead')),
)
