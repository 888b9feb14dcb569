# SN Table 7: GN, from a GN model with torchvision's normalization.
_base_ = '../_base_/deeplab_r50b-d8_8xb2-100k_ade20k-450x450.py'
norm_cfg = dict(_delete_=True, type='GN', num_groups=32)
model = dict(
    pretrained='open-mmlab://contrib/resnet50_gn',
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)
