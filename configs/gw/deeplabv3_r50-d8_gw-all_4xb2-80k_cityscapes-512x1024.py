_base_ = '../_base_/deeplabv3_r50-d8_4xb2-80k_cityscapes-512x1024.py'
norm_cfg = dict(type='GW')
# On the pooled 1×1 map 64 groups would put 2144 constraints on 512 values (GW
# section 4.2), 16 groups put 152.
head_norm_cfg = dict(type='GW', num_groups=16)
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=head_norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)
