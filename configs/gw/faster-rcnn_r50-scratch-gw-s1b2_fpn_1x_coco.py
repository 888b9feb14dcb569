# GW section 5.2, small batches from scratch: GW at s1b2, BN elsewhere trained.
_base_ = './faster-rcnn_r50-gw-s1b2_fpn_1x_coco.py'
model = dict(
    backbone=dict(
        frozen_stages=-1,
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        zero_init_residual=False,
        init_cfg=None,
    )
)
