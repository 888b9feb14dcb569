# GW Table 4, 4conv1fc head: frozen BN, FPN and box head without norms.
_base_ = './faster-rcnn_r50-bn-frozen_fpn_1x_coco.py'
model = dict(roi_head=dict(bbox_head=dict(type='Shared4Conv1FCBBoxHead')))
