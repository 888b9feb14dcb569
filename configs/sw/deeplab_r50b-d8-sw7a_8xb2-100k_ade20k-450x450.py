# SW supplement B, C: 7 layers of SW^a.
_base_ = './deeplab_r50b-d8-sw14a_8xb2-100k_ade20k-450x450.py'
model = dict(
    pretrained='checkpoints/resnet50_sw7a.pth',
    backbone=dict(whiten_at='sw7'),
)
