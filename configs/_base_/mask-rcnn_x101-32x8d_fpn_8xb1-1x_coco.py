# GW Table 5: one image a GPU; 180k iterations of 8 are mmdet's 1x, at half the
# learning rate. Images are normalized as for torchvision's networks, unlike in
# mmdet's x101-32x8d. 4conv1fc head; biases as maskrcnn-benchmark has them.
_base_ = [
    'mmdet::mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py',
    './whiten_plugins.py',
]
model = dict(
    backbone=dict(type='ResNeXt', groups=32, base_width=8),
    roi_head=dict(bbox_head=dict(type='Shared4Conv1FCBBoxHead')),
)
train_dataloader = dict(batch_size=1)
optim_wrapper = dict(
    optimizer=dict(lr=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(bias=dict(lr_mult=2.0, decay_mult=0.0))
    ),
)
auto_scale_lr = dict(base_batch_size=8)
