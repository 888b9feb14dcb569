# SN section 4.3.1: 400 epochs of the 2975 training images in batches of 16.
_base_ = './schedule_100k.py'
max_iters = 400 * 2975 // 16
param_scheduler = [
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=0.9,
        begin=0,
        end=max_iters,
        by_epoch=False,
    )
]
train_cfg = dict(max_iters=max_iters)
