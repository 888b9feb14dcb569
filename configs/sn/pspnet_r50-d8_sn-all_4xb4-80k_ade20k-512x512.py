_base_ = '../_base_/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py'
norm_cfg = dict(type='SN')
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)
