# GTA5 as it is downloaded: its label files have Cityscapes' label ids 0 to 33.
cityscapes_ids = [
    *[255, 255, 255, 255, 255, 255, 255, 0, 1, 255],
    *[255, 2, 3, 4, 255, 255, 255, 5, 255, 6],
    *[7, 8, 9, 10, 11, 12, 13, 14, 15, 255],
    *[255, 16, 17, 18],
]
gta5 = dict(
    img_suffix='.png',
    seg_map_suffix='.png',
    data_root='data/gta/',
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    pipeline=[
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
    ],
)
