# GW section 5.2: the defaults of maskrcnn-benchmark: stem and stage 1 frozen,
# biases at twice the rate and without decay.
_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    './whiten_plugins.py',
]
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(bias=dict(lr_mult=2.0, decay_mult=0.0))
    )
)
