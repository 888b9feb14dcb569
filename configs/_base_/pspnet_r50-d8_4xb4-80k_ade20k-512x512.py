_base_ = [
    'mmseg::pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py',
    './whiten_plugins.py',
]
optim_wrapper = _base_.no_norm_decay
