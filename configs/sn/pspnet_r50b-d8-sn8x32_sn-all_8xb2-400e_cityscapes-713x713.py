# SN Table 8, fine-tuned from SN (8,32).
_base_ = './pspnet_r50b-d8-sn8x2_sn-all_8xb2-400e_cityscapes-713x713.py'
model = dict(pretrained='checkpoints/resnet50_sn8x32.pth')
