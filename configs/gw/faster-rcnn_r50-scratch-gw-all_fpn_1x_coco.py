# GW section 5.2, small batches from scratch: GW in the whole backbone.
_base_ = './faster-rcnn_r50-scratch-gw-s1b2_fpn_1x_coco.py'
model = dict(backbone=dict(whiten_at='all'))
