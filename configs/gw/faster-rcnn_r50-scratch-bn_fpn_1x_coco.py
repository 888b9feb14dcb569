# GW section 5.2, small batches from scratch: BN, trained.
_base_ = '../_base_/faster-rcnn_r50_fpn_benchmark-1x_coco.py'
model = dict(
    backbone=dict(
        frozen_stages=-1,
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        zero_init_residual=False,
        init_cfg=None,
    )
)
