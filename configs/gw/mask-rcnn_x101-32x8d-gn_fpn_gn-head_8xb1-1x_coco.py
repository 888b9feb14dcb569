# GW Table 5: GN in backbone, FPN and heads. No GN model of this network is
# published: pre-train one on ImageNet, as the authors did.
_base_ = '../_base_/mask-rcnn_x101-32x8d_fpn_8xb1-1x_coco.py'
norm_cfg = dict(type='GN', num_groups=32)
model = dict(
    backbone=dict(
        norm_cfg=dict(_delete_=True, **norm_cfg),
        norm_eval=False,
        init_cfg=dict(checkpoint='checkpoints/resnext101-32x8d_gn.pth'),
    ),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)
    ),
)
