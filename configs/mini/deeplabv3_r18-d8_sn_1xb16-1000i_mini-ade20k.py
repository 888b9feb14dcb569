_base_ = [
    '_base_/deeplabv3_r18-d8.py',
    '_base_/mini_ade20k.py',
    '_base_/schedule_1000i.py',
    'mmseg::_base_/default_runtime.py',
]
