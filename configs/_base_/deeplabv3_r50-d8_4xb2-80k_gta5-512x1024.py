# Trained on GTA5, validated on Cityscapes.
_base_ = [
    './deeplabv3_r50-d8_4xb2-80k_cityscapes-512x1024.py',
    './datasets/gta5_512x1024.py',
]
train_dataloader = dict(dataset=_base_.gta5)
