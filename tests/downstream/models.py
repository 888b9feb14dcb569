"""The mini configs' networks, shrunk, on two images of 64 pixels."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DATASETS, MODELS
from torch import nn

from whiten_plugins.config.loading import load_config

MINI = Path(__file__).parents[2] / 'configs' / 'mini'
SIZE = (64, 64)
CHANNELS = 16

# Every type, with groups that fit 8 and 16 channels, so that there are some.
# BW's are smaller: eight positions of the smallest map, 2×2 of two images,
# span seven dimensions, and ZCA would enlarge the eighth by 1 / sqrt(eps).
NORM_CFGS = {
    'SN': dict(type='SN'),
    'SyncSN': dict(type='SyncSN'),
    'SW': dict(type='SW', num_pergroup=8),
    'SyncSW': dict(type='SyncSW', num_pergroup=8),
    'GW': dict(type='GW', num_groups=8),
    'IW': dict(type='IW', num_pergroup=8),
    'BW': dict(type='BW', num_pergroup=4),
    'SyncBW': dict(type='SyncBW', num_pergroup=4),
    'ItN': dict(type='ItN', num_pergroup=8),
    'SyncItN': dict(type='SyncItN', num_pergroup=8),
}

# With zero_init_residual the first step trains no norm inside a block.
BACKBONE = dict(base_channels=8, stem_channels=8, zero_init_residual=False)
STAGES = [8, 16, 32, 64]
MASK_RCNN = dict(
    backbone=BACKBONE,
    neck=dict(in_channels=STAGES, out_channels=CHANNELS),
    rpn_head=dict(in_channels=CHANNELS, feat_channels=CHANNELS),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=CHANNELS),
        bbox_head=dict(
            in_channels=CHANNELS, conv_out_channels=CHANNELS, fc_out_channels=8
        ),
        mask_roi_extractor=dict(out_channels=CHANNELS),
        mask_head=dict(in_channels=CHANNELS, conv_out_channels=CHANNELS),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=50, max_per_img=20),
        rcnn=dict(sampler=dict(num=8)),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=50, max_per_img=20),
        rcnn=dict(max_per_img=5, score_thr=0.0),
    ),
)
SEGMENTOR = dict(
    data_preprocessor=dict(size=SIZE),
    test_cfg=dict(crop_size=SIZE),
    backbone=BACKBONE,
    decode_head=dict(in_channels=STAGES[3], channels=CHANNELS),
    auxiliary_head=dict(in_channels=STAGES[2], channels=CHANNELS),
)
# As the toolkit has it: one of the maps is pooled to 1×1.
PSPNET = {
    **SEGMENTOR,
    'decode_head': dict(SEGMENTOR['decode_head'], pool_scales=(1, 2, 3, 6)),
}
# Format of the data, beginning of the mini config's name, changes of its
# model.
ARCHITECTURES = {
    'faster-rcnn': ('coco', 'mask-rcnn', MASK_RCNN),
    'mask-rcnn': ('coco', 'mask-rcnn', MASK_RCNN),
    'pspnet': ('ade20k', 'pspnet', PSPNET),
    'deeplabv3': ('cityscapes', 'deeplabv3', SEGMENTOR),
}
SEGMENTORS = ('pspnet', 'deeplabv3')


def small_config(
    architecture: str,
    norm_cfg: Mapping[str, Any],
    data: Mapping[str, Path],
    **model: Any,
) -> Config:
    """A mini config, shrunk, with ``norm_cfg`` everywhere.

    Args:
        architecture: a key of ``ARCHITECTURES``.
        norm_cfg: of every norm.
        data: folders of the data sets, by format.
        **model: more changes of ``model``.
    """
    format, name, shrunk = ARCHITECTURES[architecture]
    path = next(MINI.glob(f'{name}_*{format}.py'))
    cfg = load_config(path, {'norm_cfg': {**norm_cfg, '_delete_': True}})
    cfg.merge_from_dict(dict(model=shrunk))
    cfg.merge_from_dict(dict(model=model))
    if architecture == 'faster-rcnn':
        cfg.model.type = 'FasterRCNN'
        for part in ('mask_roi_extractor', 'mask_head'):
            del cfg.model.roi_head[part]
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = f'{data[format]}/'
        for step in loader.dataset.pipeline:
            for key in {'scale', 'crop_size'} & step.keys():
                step[key] = SIZE
    return cfg


def build(cfg: Config) -> tuple[nn.Module, OptimWrapper]:
    """The model of a config, initialized, and its optimizer."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    return model, build_optim_wrapper(model, cfg.optim_wrapper)


def images(cfg: Config, split: str, indices: Iterable[int]) -> dict:
    """Some samples of a data set as the data loader gives them.

    Args:
        cfg: the whole config.
        split: 'train' or 'test'.
        indices: which samples.
    """
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    return pseudo_collate([dataset[i] for i in indices])


def assert_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, value in tensors.items():
        assert value.isfinite().all(), name
