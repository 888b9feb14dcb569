_base_ = [
    '../_base_/pspnet_r50-d8_4xb2-80k_gta5-512x1024.py',
    '../_base_/datasets/driving_test_sets.py',
]
model = dict(
    backbone=dict(
        type='WhitenResNetV1c', whiten_cfg=dict(type='IBN'), whiten_at='ibn-a'
    )
)
