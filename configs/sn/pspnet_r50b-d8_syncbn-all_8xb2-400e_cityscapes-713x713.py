# SN Table 8: SyncBN.
_base_ = '../_base_/pspnet_r50b-d8_8xb2-400e_cityscapes-713x713.py'
model = dict(pretrained='torchvision://resnet50')
