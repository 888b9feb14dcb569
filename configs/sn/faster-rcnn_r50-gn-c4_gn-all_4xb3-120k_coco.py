# SN Table 4: GN, fine-tuned from a GN model with torchvision's normalization.
_base_ = '../_base_/faster-rcnn_r50-c4_4xb3-120k_coco.py'
norm_cfg = dict(_delete_=True, type='GN', num_groups=32)
layers = dict(
    norm_cfg=norm_cfg,
    norm_eval=False,
    init_cfg=dict(checkpoint='open-mmlab://contrib/resnet50_gn'),
)
model = dict(backbone=layers, roi_head=dict(shared_head=layers))
