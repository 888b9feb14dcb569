_base_ = [
    'mmseg::deeplabv3/deeplabv3_r50-d8_4xb4-80k_ade20k-512x512.py',
    './whiten_plugins.py',
]
optim_wrapper = _base_.no_norm_decay
