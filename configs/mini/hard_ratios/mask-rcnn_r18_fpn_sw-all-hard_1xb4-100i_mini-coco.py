# Fine-tunes the mini Mask R-CNN with hard ratios, as SN Table 3: every layer
# uses only the statistic that it came to prefer. Train that network first and
# make its ratios hard; for SN add norm_cfg.type=SN to both trainings:
#
#   NAME=mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco
#   python tools/train.py configs/mini/$NAME.py
#   python tools/harden.py work_dirs/$NAME/iter_400.pth \
#       --out work_dirs/$NAME/hard.pth
_base_ = '../mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco.py'

norm_cfg = dict(type='SW', hard=True)
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)
    ),
)
load_from = 'work_dirs/mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco/hard.pth'

max_iters = 100
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=10),
    dict(
        type='CosineAnnealingLR',
        eta_min=0.0,
        by_epoch=False,
        begin=10,
        end=max_iters,
    ),
]
# The choices are made.
custom_hooks = []
