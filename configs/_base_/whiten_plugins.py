custom_imports = dict(imports=['whiten_plugins'], allow_failed_imports=False)
# Neither the norms nor the logits of their ratios are decayed.
no_norm_decay = dict(
    constructor='NormAwareOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
