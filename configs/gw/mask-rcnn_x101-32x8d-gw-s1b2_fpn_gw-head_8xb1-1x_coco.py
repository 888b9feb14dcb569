# GW Table 5: one image a GPU; 180k iterations of 8 are mmdet's 1x, at half the
# learning rate. Images are normalized as for torchvision's networks, unlike
# in mmdet's x101-32x8d.
_base_ = [
    'mmdet::mask_rcnn/mask-rcnn_r101_fpn_1x_coco.py',
    '../_base_/whiten_plugins.py',
]
norm_cfg = dict(type='GW')
model = dict(
    backbone=dict(
        type='WhitenResNeXt',
        groups=32,
        base_width=8,
        norm_cfg=dict(requires_grad=False),
        whiten_cfg=norm_cfg,
        whiten_at='s1b2',
        init_cfg=dict(checkpoint='checkpoints/resnext101-32x8d_gw-s1b2.pth'),
    ),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)
train_dataloader = dict(batch_size=1)
optim_wrapper = dict(
    optimizer=dict(lr=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(bias=dict(lr_mult=2.0, decay_mult=0.0))
    ),
)
auto_scale_lr = dict(base_batch_size=8)
