_base_ = '../_base_/deeplabv3_r50-d8_4xb2-80k_cityscapes-512x1024.py'
# The pooled map of 1×1 has no statistic of one image but 'ln': type 3.
norm_cfg = dict(type='SW', sw_type=3)
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)
