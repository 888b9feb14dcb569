# Trained on GTA5 as it is downloaded: its label files have Cityscapes' label
# ids 0 to 33. Validated on Cityscapes.
_base_ = './deeplabv3_r50-d8_4xb2-80k_cityscapes-512x1024.py'
cityscapes_ids = [
    *[255, 255, 255, 255, 255, 255, 255, 0, 1, 255],
    *[255, 2, 3, 4, 255, 255, 255, 5, 255, 6],
    *[7, 8, 9, 10, 11, 12, 13, 14, 15, 255],
    *[255, 16, 17, 18],
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='MapLabels', labels=cityscapes_ids),
    dict(
        type='RandomResize',
        scale=(1914, 1052),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    ),
    dict(type='RandomCrop', crop_size=(512, 1024), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        img_suffix='.png',
        seg_map_suffix='.png',
        data_root='data/gta/',
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=train_pipeline,
    )
)
