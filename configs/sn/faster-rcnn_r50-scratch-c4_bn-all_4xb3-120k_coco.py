# SN Table 4: BN, from scratch.
_base_ = './faster-rcnn_r50_c4_bn-all_4xb3-120k_coco.py'
model = dict(
    backbone=dict(frozen_stages=-1, zero_init_residual=False, init_cfg=None),
    roi_head=dict(shared_head=dict(init_cfg=None)),
)
