# The Diverse-Weather data set (Single-DGOD, CVPR 2022): for each weather a
# folder in the layout of VOC2007. Trained on clear days. Images have 1280×720
# pixels, resized to a shorter side of 600 as in CLIP the Gap (CVPR 2023).
classes = ('bus', 'bike', 'car', 'motor', 'person', 'rider', 'truck')
layout = dict(
    type='XMLDataset',
    metainfo=dict(classes=classes),
    data_prefix=dict(sub_data_root='VOC2007/'),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(1333, 600), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 600), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
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
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        data_root='data/diverseWeather/daytime_clear/',
        ann_file='VOC2007/ImageSets/Main/train.txt',
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
        **layout,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_root='data/diverseWeather/daytime_clear/',
        ann_file='VOC2007/ImageSets/Main/test.txt',
        test_mode=True,
        pipeline=test_pipeline,
        **layout,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='11points')
test_evaluator = val_evaluator

test_sets = dict()
for weather in (
    'daytime_clear',
    'night_sunny',
    'dusk_rainy',
    'night_rainy',
    'daytime_foggy',
):
    test_sets[weather] = dict(
        seen=weather == 'daytime_clear',
        dataset=dict(
            data_root=f'data/diverseWeather/{weather}/',
            ann_file='VOC2007/ImageSets/Main/test.txt',
            test_mode=True,
            pipeline=test_pipeline,
            **layout,
        ),
    )
del weather
