# GW Table 4, 2fc head: frozen BN.
_base_ = '../_base_/faster-rcnn_r50_fpn_benchmark-1x_coco.py'
model = dict(backbone=dict(norm_cfg=dict(requires_grad=False)))
