# Seven classes; all norms of the backbone are trained or, if frozen, BN's.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    './datasets/diverse_weather.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
    './whiten_plugins.py',
]
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=dict(requires_grad=False)),
    roi_head=dict(bbox_head=dict(num_classes=7)),
)
optim_wrapper = _base_.no_norm_decay
