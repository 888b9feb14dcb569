# GW section 5.2, small batches from scratch: GN in the whole backbone.
_base_ = './faster-rcnn_r50-scratch-bn_fpn_1x_coco.py'
model = dict(
    backbone=dict(norm_cfg=dict(_delete_=True, type='GN', num_groups=32))
)
