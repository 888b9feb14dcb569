# SN section 4.2.1, setting 2: the optimizer of Caffe2-Detectron, which also
# freezes stem and stage 1.
_base_ = './faster-rcnn_r50_fpn_1x_coco.py'
model = dict(backbone=dict(frozen_stages=1))
optim_wrapper = _base_.detectron_optimizer
