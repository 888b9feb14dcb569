_base_ = '../_base_/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py'
norm_cfg = dict(type='SyncSW')
# The pooled 1×1 map has one value a channel and image: too few for the
# covariance of a group, and none of one image but 'ln' is defined.
head_norm_cfg = dict(type='SyncSW', num_pergroup=1, sw_type=3)
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=head_norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)
