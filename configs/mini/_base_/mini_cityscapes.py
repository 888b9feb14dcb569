_base_ = 'mini_segmentation.py'
data_root = 'data/mini_cityscapes/'
suffixes = dict(
    img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png'
)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(
            img_path='leftImg8bit/train', seg_map_path='gtFine/train'
        ),
        **suffixes,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(
            img_path='leftImg8bit/val', seg_map_path='gtFine/val'
        ),
        **suffixes,
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
