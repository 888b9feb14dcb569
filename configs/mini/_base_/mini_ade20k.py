_base_ = 'mini_segmentation.py'
data_root = 'data/mini_ade20k/'
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(
            img_path='images/training', seg_map_path='annotations/training'
        ),
        reduce_zero_label=True,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(
            img_path='images/validation', seg_map_path='annotations/validation'
        ),
        reduce_zero_label=True,
    )
)
test_dataloader = val_dataloader

load, *prepare = _base_.test_pipeline
own = dict(
    type='BaseSegDataset',
    metainfo=_base_.metainfo,
    **val_dataloader['dataset'],
)
test_sets = dict(
    clean=dict(seen=True, dataset=dict(pipeline=[load, *prepare], **own))
)
for name, change in _base_.photometric.items():
    test_sets[name] = dict(
        dataset=dict(pipeline=[load, change, *prepare], **own)
    )
del load, prepare, own, name, change
