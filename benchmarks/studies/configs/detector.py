# Mask R-CNN on nuclei, small enough for hundreds of trainings on one core: a
# ResNet-18 of a quarter of the width from scratch, two FPN levels, crops of
# 128 pixels. Every norm is the one norm_cfg, as in the mini Mask R-CNN.
_base_ = [
    '../../../configs/mini/mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco.py'
]

norm_cfg = dict(type='BN')
data_root = 'data/studies/nuclei_coco/'
metainfo = dict(classes=('nucleus',))
model = dict(
    backbone=dict(
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(1, 2),
        base_channels=16,
        norm_cfg=norm_cfg,
    ),
    neck=dict(
        in_channels=[32, 64], out_channels=32, num_outs=2, norm_cfg=norm_cfg
    ),
    rpn_head=dict(
        in_channels=32,
        feat_channels=32,
        num_convs=1,
        anchor_generator=dict(scales=[4], strides=[8, 16]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32, featmap_strides=[8, 16]),
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=2,
            num_shared_fcs=1,
            in_channels=32,
            conv_out_channels=32,
            fc_out_channels=128,
            num_classes=1,
            norm_cfg=norm_cfg,
        ),
        mask_roi_extractor=dict(out_channels=32, featmap_strides=[8, 16]),
        mask_head=dict(
            num_convs=2,
            in_channels=32,
            conv_out_channels=32,
            num_classes=1,
            norm_cfg=norm_cfg,
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=100, max_per_img=50),
        rcnn=dict(sampler=dict(num=24)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50)),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(
        type='PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
        ),
    ),
]
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
visualizer = dict(
    _delete_=True,
    type='DetLocalVisualizer',
    vis_backends=[dict(type='LocalVisBackend')],
)
