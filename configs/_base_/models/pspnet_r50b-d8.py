# r50b is mmseg's name for the stem with one 7×7 convolution, which the
# published checkpoints have. As in the code that SN names
# (ppm_bilinear_deepsup), the auxiliary head has 512 channels.
_base_ = 'mmseg::_base_/models/pspnet_r50-d8.py'
model = dict(backbone=dict(type='ResNet'), auxiliary_head=dict(channels=512))
