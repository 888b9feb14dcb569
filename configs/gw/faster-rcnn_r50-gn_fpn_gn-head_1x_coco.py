# GW Table 4, 4conv1fc head: GN in FPN and box head too.
_base_ = './faster-rcnn_r50-gn_fpn_1x_coco.py'
norm_cfg = dict(type='GN', num_groups=32)
model = dict(
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', norm_cfg=norm_cfg)
    ),
)
