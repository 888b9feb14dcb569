# GW Table 4, 2fc head: GN, from a GN model with torchvision's normalization.
_base_ = '../_base_/faster-rcnn_r50_fpn_benchmark-1x_coco.py'
model = dict(
    backbone=dict(
        norm_cfg=dict(_delete_=True, type='GN', num_groups=32),
        norm_eval=False,
        init_cfg=dict(checkpoint='open-mmlab://contrib/resnet50_gn'),
    )
)
