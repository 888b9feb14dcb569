_base_ = [
    '../_base_/deeplabv3_r50-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/datasets/driving_test_sets.py',
]
model = dict(
    backbone=dict(
        type='WhitenResNetV1c', whiten_cfg=dict(type='IBN'), whiten_at='ibn-a'
    )
)
test_sets = dict(cityscapes=dict(seen=True))
