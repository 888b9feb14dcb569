# SN Table 7: SyncBN.
_base_ = '../_base_/deeplab_r50b-d8_8xb2-100k_ade20k-450x450.py'
model = dict(pretrained='torchvision://resnet50')
