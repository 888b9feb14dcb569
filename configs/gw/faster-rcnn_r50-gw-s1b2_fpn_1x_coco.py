# GW Table 4, 2fc head: GW at s1b2, frozen BN elsewhere. Biases at twice the
# rate and without decay are the default of the code that the paper uses.
_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    '../_base_/whiten_plugins.py',
]
model = dict(
    backbone=dict(
        type='WhitenResNet',
        norm_cfg=dict(requires_grad=False),
        whiten_cfg=dict(type='GW'),
        whiten_at='s1b2',
        init_cfg=dict(checkpoint='checkpoints/resnet50_gw-s1b2.pth'),
    )
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(bias=dict(lr_mult=2.0, decay_mult=0.0))
    )
)
