# FCN on land cover, small enough for hundreds of trainings on one core: a
# ResNet-18 of a quarter of the width from scratch at a stride of 8, crops of
# 64 pixels. Every norm is the one norm_cfg.
_base_ = [
    'mmseg::_base_/models/fcn_r50-d8.py',
    '../../../configs/mini/_base_/schedule_1000i.py',
    'mmseg::_base_/default_runtime.py',
]
custom_imports = dict(imports=['whiten_plugins'], allow_failed_imports=False)

norm_cfg = dict(type='BN')
data_root = 'data/studies/landcover_cityscapes/'
metainfo = dict(
    classes=(
        'water',
        'forest',
        'shrubland',
        'savanna',
        'grassland',
        'cropland',
        'snow and ice',
        'barren',
    )
)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(
        type='ResNet',
        depth=18,
        num_stages=3,
        strides=(1, 2, 1),
        dilations=(1, 1, 2),
        out_indices=(0, 1, 2),
        base_channels=16,
        stem_channels=16,
        zero_init_residual=False,
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        in_channels=64,
        in_index=2,
        channels=32,
        num_classes=8,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=None,
    test_cfg=dict(mode='whole'),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    metainfo=metainfo,
    img_suffix='_leftImg8bit.png',
    seg_map_suffix='_gtFine_labelTrainIds.png',
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_prefix=dict(
            img_path='leftImg8bit/train', seg_map_path='gtFine/train'
        ),
        pipeline=train_pipeline,
        **dataset,
    ),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=dict(
            img_path='leftImg8bit/val', seg_map_path='gtFine/val'
        ),
        pipeline=test_pipeline,
        **dataset,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.0)
)
custom_hooks = [dict(type='RatioHook', interval=20)]
