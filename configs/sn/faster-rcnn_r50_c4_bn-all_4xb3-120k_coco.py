# SN Table 4: BN, fine-tuned.
_base_ = '../_base_/faster-rcnn_r50-c4_4xb3-120k_coco.py'
norm_cfg = dict(requires_grad=True)
layers = dict(norm_cfg=norm_cfg, norm_eval=False)
model = dict(backbone=layers, roi_head=dict(shared_head=layers))
