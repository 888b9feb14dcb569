# SW supplement B, C: 14 layers of SW^a, BN (mmseg's SyncBN) elsewhere. What
# the supplement leaves open, sizes and schedule, is that of SN section 4.3.
# The published code keeps 0.99 of a running statistic, a momentum of 0.01.
_base_ = '../_base_/deeplab_r50b-d8_8xb2-400e_cityscapes-713x713.py'
model = dict(
    pretrained='checkpoints/resnet50_sw14a.pth',
    backbone=dict(
        type='WhitenResNet',
        whiten_cfg=dict(type='SW', momentum=0.01),
        whiten_at='sw14',
    ),
)
