# SN section 4.2.1, setting 3: the optimizer of Caffe2-Detectron, which also
# freezes stem and stage 1; twice mmdet's 12 epochs.
_base_ = './mask-rcnn_r50_fpn_1x_coco.py'
model = dict(backbone=dict(frozen_stages=1))
optim_wrapper = _base_.detectron_optimizer
max_epochs = 24
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500
    ),
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_epochs,
        by_epoch=True,
        milestones=[16, 22],
        gamma=0.1,
    ),
]
