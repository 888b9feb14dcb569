_base_ = [
    '../_base_/deeplabv3_r50-d8_4xb2-80k_gta5-512x1024.py',
    '../_base_/datasets/driving_test_sets.py',
]
norm_cfg = dict(type='BN')
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)
