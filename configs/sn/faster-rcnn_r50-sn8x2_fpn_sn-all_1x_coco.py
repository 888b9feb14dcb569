# SN Table 5, from SN (8,2); stem and stage 1 frozen as in Detectron.
_base_ = './faster-rcnn_r50_fpn_sn-all_1x_coco.py'
model = dict(
    backbone=dict(
        frozen_stages=1,
        init_cfg=dict(checkpoint='checkpoints/resnet50_sn8x2.pth'),
    )
)
