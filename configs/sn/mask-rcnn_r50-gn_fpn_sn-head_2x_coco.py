# SN Table 6: GN in the backbone, SN in FPN and heads. Detectron's GN model and
# its normalization of images.
_base_ = './mask-rcnn_r50_fpn_sn-head_2x_coco.py'
model = dict(
    data_preprocessor=dict(
        mean=[103.530, 116.280, 123.675],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
    ),
    backbone=dict(
        norm_cfg=dict(_delete_=True, type='GN', num_groups=32),
        norm_eval=False,
        init_cfg=dict(checkpoint='open-mmlab://detectron/resnet50_gn'),
    ),
)
