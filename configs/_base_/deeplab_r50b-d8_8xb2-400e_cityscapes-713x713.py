_base_ = [
    './models/deeplab_r50b-d8.py',
    './datasets/cityscapes_713x713.py',
    './schedules/schedule_400e_cityscapes.py',
    'mmseg::_base_/default_runtime.py',
    './whiten_plugins.py',
]
crop_size = _base_.crop_size
# Square crops that are tested by sliding: as mmseg does at 769×769.
model = dict(
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(align_corners=True),
    auxiliary_head=dict(align_corners=True),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(476, 476)),
)
optim_wrapper = _base_.no_norm_or_bias_decay
