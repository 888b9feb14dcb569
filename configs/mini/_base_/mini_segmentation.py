# What the ADE20K- and the Cityscapes-shaped mini sets have in common. They
# have classes of their own, hence BaseSegDataset: ADE20KDataset and
# CityscapesDataset would call a digit a sky or a bus.
digits = 'zero one two three four five six seven eight nine'
metainfo = dict(classes=['photograph'] + digits.split())

# Crops of a digit or two, at most 85 % photograph where ten tries find one.
# No flips: the mirror image of a digit is not that digit.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(80, 80), cat_max_ratio=0.85),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
# What has no part in the training, one a test set (tools/test.py --test-sets).
photometric = {
    'dark': dict(type='AdjustGamma', gamma=0.4),
    'bright': dict(type='AdjustGamma', gamma=2.5),
    'gray': dict(
        type='RGB2Gray', out_channels=3, weights=(0.299, 0.587, 0.114)
    ),
    'equalized': dict(type='CLAHE', clip_limit=40.0),
}
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale_factor=ratio, keep_ratio=True)
                for ratio in (1.0, 1.25, 1.5)
            ],
            [dict(type='LoadAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset', metainfo=metainfo, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset', metainfo=metainfo, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
