# SN Table 4: SN, fine-tuned from SN (8,2).
_base_ = '../_base_/faster-rcnn_r50-c4_4xb3-120k_coco.py'
norm_cfg = dict(type='SN', requires_grad=True)
layers = dict(
    norm_cfg=norm_cfg,
    norm_eval=False,
    init_cfg=dict(checkpoint='checkpoints/resnet50_sn8x2.pth'),
)
model = dict(backbone=layers, roi_head=dict(shared_head=layers))
custom_hooks = _base_.batch_average
