# For norms of one type everywhere: a box head of convolutions, which has
# norms, and a backbone whose norms are all trained, those of the stem too.
_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    './whiten_plugins.py',
]
model = dict(
    backbone=dict(frozen_stages=-1, norm_eval=False),
    roi_head=dict(bbox_head=dict(type='Shared4Conv1FCBBoxHead')),
)
optim_wrapper = _base_.no_norm_decay
