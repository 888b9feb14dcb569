# COCO, tested as in "Benchmarking Robustness in Object Detection" (COCO-C): 15
# corruptions of five severities. All norms of the backbone are trained or, if
# frozen, BN's.
_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    './whiten_plugins.py',
]
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=dict(requires_grad=False))
)
optim_wrapper = _base_.no_norm_decay

load, *prepare = _base_.test_pipeline
coco = dict(
    type='CocoDataset',
    data_root='data/coco/',
    ann_file='annotations/instances_val2017.json',
    data_prefix=dict(img='val2017/'),
    test_mode=True,
)
test_sets = dict(
    clean=dict(seen=True, dataset=dict(pipeline=[load, *prepare], **coco))
)
for corruption in (
    'gaussian_noise',
    'shot_noise',
    'impulse_noise',
    'defocus_blur',
    'glass_blur',
    'motion_blur',
    'zoom_blur',
    'snow',
    'frost',
    'fog',
    'brightness',
    'contrast',
    'elastic_transform',
    'pixelate',
    'jpeg_compression',
):
    for severity in range(1, 6):
        corrupt = dict(
            type='Corrupt', corruption=corruption, severity=severity
        )
        test_sets[f'{corruption}-{severity}'] = dict(
            dataset=dict(pipeline=[load, corrupt, *prepare], **coco)
        )
del load, prepare, corruption, severity, corrupt
