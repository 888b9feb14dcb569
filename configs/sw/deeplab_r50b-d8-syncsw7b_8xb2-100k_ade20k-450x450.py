# SW supplement B, C: 7 layers of SW^b, batch statistics of all GPUs.
_base_ = './deeplab_r50b-d8-sw7b_8xb2-100k_ade20k-450x450.py'
model = dict(backbone=dict(whiten_cfg=dict(type='SyncSW')))
