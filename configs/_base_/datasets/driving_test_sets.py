# What a network of Cityscapes' 19 classes is tested on: mmseg's data sets and
# its sizes for each. Mapillary Vistas v1.2 has classes of its own; these are
# the labels that RobustNet (CVPR 2021) gives them.
to_2048 = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
to_1920 = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1920, 1080), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
# Ten of Mapillary's 66 classes a line, the last six ignored.
mapillary_labels = [
    *[255, 255, 1, 4, 255, 255, 3, 255, 255, 255],
    *[255, 255, 255, 0, 255, 1, 255, 2, 255, 11],
    *[12, 12, 12, 255, 0, 255, 255, 10, 255, 9],
    *[8, 255, 255, 255, 255, 255, 255, 255, 255, 255],
    *[255, 0, 255, 255, 255, 5, 255, 5, 6, 255],
    *[7, 255, 18, 255, 15, 13, 255, 17, 16, 255],
    *[255, 14, 255, 255, 255, 255],
]
test_sets = dict(
    cityscapes=dict(
        dataset=dict(
            type='CityscapesDataset',
            data_root='data/cityscapes/',
            data_prefix=dict(
                img_path='leftImg8bit/val', seg_map_path='gtFine/val'
            ),
            pipeline=to_2048,
        )
    ),
    bdd100k=dict(
        dataset=dict(
            type='BDD100KDataset',
            data_root='data/bdd100k/',
            data_prefix=dict(
                img_path='images/10k/val',
                seg_map_path='labels/sem_seg/masks/val',
            ),
            pipeline=to_2048,
        )
    ),
    # With Cityscapes' class names: mmseg's own class has Mapillary's.
    mapillary=dict(
        dataset=dict(
            type='CityscapesDataset',
            img_suffix='.jpg',
            seg_map_suffix='.png',
            data_root='data/mapillary/',
            data_prefix=dict(
                img_path='validation/images',
                seg_map_path='validation/v1.2/labels',
            ),
            pipeline=[
                *to_2048[:-1],
                dict(type='MapLabels', labels=mapillary_labels),
                to_2048[-1],
            ],
        )
    ),
    dark_zurich=dict(
        dataset=dict(
            type='DarkZurichDataset',
            data_root='data/dark_zurich/',
            data_prefix=dict(
                img_path='rgb_anon/val/night/GOPR0356',
                seg_map_path='gt/val/night/GOPR0356',
            ),
            pipeline=to_1920,
        )
    ),
    night_driving=dict(
        dataset=dict(
            type='NightDrivingDataset',
            data_root='data/NighttimeDrivingTest/',
            data_prefix=dict(
                img_path='leftImg8bit/test/night',
                seg_map_path='gtCoarse_daytime_trainvaltest/test/night',
            ),
            pipeline=to_1920,
        )
    ),
)
