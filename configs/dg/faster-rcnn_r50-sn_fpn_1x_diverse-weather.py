_base_ = '../_base_/faster-rcnn_r50_fpn_1x_diverse-weather.py'
model = dict(
    backbone=dict(
        norm_cfg=dict(type='SN', requires_grad=True), norm_eval=False
    )
)
