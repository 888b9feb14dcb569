# SN Table 4: SN, from scratch.
_base_ = './faster-rcnn_r50-sn8x2-c4_sn-all_4xb3-120k_coco.py'
model = dict(
    backbone=dict(frozen_stages=-1, zero_init_residual=False, init_cfg=None),
    roi_head=dict(shared_head=dict(init_cfg=None)),
)
