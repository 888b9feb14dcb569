# SN Table 7, fine-tuned from SN (8,2).
_base_ = '../_base_/deeplab_r50b-d8_8xb2-100k_ade20k-450x450.py'
norm_cfg = dict(type='SN')
model = dict(
    pretrained='checkpoints/resnet50_sn8x2.pth',
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=dict(norm_cfg=norm_cfg),
)
custom_hooks = _base_.batch_average
