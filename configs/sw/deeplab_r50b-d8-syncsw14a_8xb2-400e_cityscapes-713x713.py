# SW supplement B, C: 14 layers of SW^a, batch statistics of all GPUs.
_base_ = './deeplab_r50b-d8-sw14a_8xb2-400e_cityscapes-713x713.py'
model = dict(backbone=dict(whiten_cfg=dict(type='SyncSW')))
