_base_ = [
    '../_base_/pspnet_r50-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/datasets/driving_test_sets.py',
]
test_sets = dict(cityscapes=dict(seen=True))
