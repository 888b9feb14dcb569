# SN Table 7: SyncBN.
_base_ = '../_base_/deeplab_r50b-d8_8xb2-400e_cityscapes-713x713.py'
model = dict(pretrained='torchvision://resnet50')
