_base_ = [
    '_base_/deeplabv3_r18-d8.py',
    '_base_/mini_cityscapes.py',
    '_base_/schedule_1000i.py',
    'mmseg::_base_/default_runtime.py',
]
