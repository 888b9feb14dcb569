# SN Table 8, fine-tuned from SN (8,4).
_base_ = './pspnet_r50b-d8-sn8x2_syncsn-all_8xb2-400e_cityscapes-713x713.py'
model = dict(pretrained='checkpoints/resnet50_sn8x4.pth')
