# DeepLab of SN section 4.3, SW supplement C: a dilated ResNet-50 with output
# stride 8, one 3×3 convolution and a classifier, auxiliary loss of weight 0.4.
# That is mmseg's FCN with one convolution: it has the FLOPs of SW Table 2,
# 275 G at 713×713, where DeepLabV3 has 530 G. r50b is mmseg's name for the
# stem with one 7×7 convolution, which the published checkpoints have. As in
# the code that SN names (c1_bilinear_deepsup), both heads have 512 channels
# and no dropout.
_base_ = 'mmseg::_base_/models/fcn_r50-d8.py'
model = dict(
    backbone=dict(type='ResNet'),
    decode_head=dict(num_convs=1, concat_input=False, dropout_ratio=0.0),
    auxiliary_head=dict(channels=512, dropout_ratio=0.0),
)
