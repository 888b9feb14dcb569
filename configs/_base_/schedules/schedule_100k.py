# SN section 4.3.1: 8 GPUs with 2 images each, 100,000 iterations, poly policy
# with power 0.9. The paper gives no learning rate but keeps the settings of
# the code it names in footnote 2, whose defaults are 0.02 and a weight decay
# of 1e-4 that spares norms and biases.
_base_ = 'mmseg::_base_/schedules/schedule_80k.py'
optimizer = dict(lr=0.02, weight_decay=0.0001)
optim_wrapper = dict(optimizer=optimizer)
max_iters = 100000
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
train_cfg = dict(max_iters=max_iters, val_interval=10000)
default_hooks = dict(checkpoint=dict(interval=10000))
auto_scale_lr = dict(enable=False, base_batch_size=16)
