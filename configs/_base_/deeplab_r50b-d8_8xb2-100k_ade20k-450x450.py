_base_ = [
    './models/deeplab_r50b-d8.py',
    './datasets/ade20k_450x450.py',
    './schedules/schedule_100k.py',
    'mmseg::_base_/default_runtime.py',
    './whiten_plugins.py',
]
crop_size = _base_.crop_size
model = dict(
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(num_classes=150),
    auxiliary_head=dict(num_classes=150),
)
optim_wrapper = _base_.no_norm_or_bias_decay
