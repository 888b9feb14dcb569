# Mask R-CNN (ResNet-50) that finds nuclei, fine-tuned from ImageNet on two CPU
# cores in minutes: heads, proposals and schedule are the mini Mask R-CNN's.
_base_ = (
    '../../../configs/mini/mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco.py'
)

norm_cfg = dict(type='SW')
data_root = 'data/nuclei/'
metainfo = dict(classes=('nucleus',))
model = dict(
    backbone=dict(depth=50, norm_cfg=norm_cfg),
    neck=dict(
        in_channels=[256, 512, 1024, 2048], num_outs=4, norm_cfg=norm_cfg
    ),
    rpn_head=dict(anchor_generator=dict(strides=[4, 8, 16, 32])),
    roi_head=dict(
        bbox_head=dict(num_classes=1, norm_cfg=norm_cfg),
        mask_head=dict(num_classes=1, norm_cfg=norm_cfg),
    ),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=60), rcnn=dict(sampler=dict(num=32))
    ),
    test_cfg=dict(rpn=dict(max_per_img=60), rcnn=dict(max_per_img=40)),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5, direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(192, 192), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
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
    batch_size=2,
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root, metainfo=metainfo, pipeline=test_pipeline
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
# What is new learns fast, what ImageNet taught changes slowly.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.2)})
)
