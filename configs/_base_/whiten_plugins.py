custom_imports = dict(imports=['whiten_plugins'], allow_failed_imports=False)
constructor = 'NormAwareOptimWrapperConstructor'
# Neither the norms nor the logits of their ratios are decayed.
no_norm_decay = dict(
    constructor=constructor, paramwise_cfg=dict(norm_decay_mult=0.0)
)
# Nor are biases, as in the segmentation code that SN names in footnote 2 and
# in its setting 1 (faster-rcnn.pytorch with res50.yml).
no_norm_or_bias_decay = dict(
    constructor=constructor,
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
# Caffe2-Detectron, SN settings 2 and 3: biases, but not those of the norms,
# learn at twice the rate too.
detectron_optimizer = dict(
    constructor=constructor,
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, bias_lr_mult=2.0
    ),
)
# SN section 3.2 evaluates with batch averages.
batch_average = [
    dict(type='BatchAverageHook', num_images=2000, every_val=True)
]
