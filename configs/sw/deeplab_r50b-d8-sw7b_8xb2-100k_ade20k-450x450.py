# SW supplement B, C: 7 layers of SW^b.
_base_ = './deeplab_r50b-d8-sw7a_8xb2-100k_ade20k-450x450.py'
model = dict(
    pretrained='checkpoints/resnet50_sw7b.pth',
    backbone=dict(whiten_cfg=dict(sw_type=5)),
)
