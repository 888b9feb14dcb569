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
