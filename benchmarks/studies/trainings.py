"""The trainings that studies are made of: two small networks, any norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.studies.study import AP, MIOU, SHARES, Cell, Metric, Start

CONFIGS = 'benchmarks/studies/configs'
DETECTOR = f'{CONFIGS}/detector.py'
SEGMENTOR = f'{CONFIGS}/segmentor.py'
DATA = {
    DETECTOR: {
        'nuclei_coco': dict(
            source='nuclei',
            format='coco',
            num_train=400,
            num_val=40,
            size=(128, 128),
        )
    },
    SEGMENTOR: {
        'landcover_cityscapes': dict(
            source='landcover',
            format='cityscapes',
            num_train=800,
            num_val=100,
            size=(64, 64),
        )
    },
}
METRICS: dict[str, tuple[Metric, ...]] = {
    DETECTOR: (*AP, *SHARES),
    SEGMENTOR: (*MIOU, *SHARES),
}
# Before fine-tuning, at 8 images a batch; and in the training that counts.
PRETRAINING = {DETECTOR: 480, SEGMENTOR: 240}
IMAGES = {DETECTOR: 160, SEGMENTOR: 480}
# Images whose gradients are averaged for a step, at every batch size: as with
# many GPUs, only the normalization sees fewer.
STEP = 8
LEARNING_RATE = {DETECTOR: 3e-3, SEGMENTOR: 4e-3}

Options = dict[str, Any]
_GN = dict(type='GN', num_groups=8)
_GW = dict(type='GW', num_groups=8)


def norm(**cfg: Any) -> Options:
    """Return the options that make every norm of a network one type."""
    return {f'norm_cfg.{key}': value for key, value in cfg.items()}


def placed(at: str, **cfg: Any) -> Options:
    """Return the options for BN with other norms at some places."""
    return {
        **norm(type='BN'),
        'model.backbone.type': 'WhitenResNet',
        'model.backbone.whiten_at': at,
        **{f'model.backbone.whiten_cfg.{k}': v for k, v in cfg.items()},
    }


# The networks have layers of 16 to 64 channels: groups are fewer than those
# of the papers' networks, and as large.
NORMS: dict[str, Options] = {
    'BN': norm(type='BN'),
    'GN': norm(**_GN),
    'SN': norm(type='SN'),
    'SW': norm(type='SW'),
    'GW': norm(**_GW),
    'BN, SW at sw14': placed('sw14', type='SW'),
    'BN, GW at s1b2': placed('s1b2', **_GW),
}
SN_WITHOUT_BN = norm(type='SN', stats=('in', 'ln'))


def schedule(
    config: str,
    batch_size: int,
    images: int | None = None,
    rate: float | None = None,
) -> Options:
    """Return a schedule of the same images and steps at every batch size.

    Args:
        config: DETECTOR or SEGMENTOR.
        batch_size: images a batch.
        images: how many to show; the config's own number by default.
        rate: learning rate; the config's own by default.
    """
    iterations = (images or IMAGES[config]) // batch_size
    warm_up = max(1, iterations // 8)
    return {
        'train_dataloader.batch_size': batch_size,
        'train_cfg.max_iters': iterations,
        'train_cfg.val_interval': iterations,
        'param_scheduler.0.end': warm_up,
        'param_scheduler.1.begin': warm_up,
        'param_scheduler.1.end': iterations,
        'default_hooks.checkpoint.interval': iterations,
        'optim_wrapper.accumulative_counts': STEP // batch_size,
        'optim_wrapper.optimizer.lr': rate or LEARNING_RATE[config],
    }


def training(
    config: str,
    row: str,
    column: str,
    options: Mapping[str, Any],
    start: Start | None = None,
) -> Cell:
    """Return a training, from another's network where ``start`` says so."""
    source = {'load_from': '{start}'} if start else {}
    return Cell(row, column, config, {**options, **source}, start)


def pretrained(config: str, row: str, options: Options) -> Start:
    """Return the start of a fine-tuning: the same norm, 8 images a batch."""
    images = PRETRAINING[config]
    column = f'{images} images before'
    rest = schedule(config, 8, images)
    return Start(training(config, row, column, {**options, **rest}))


def fine_tuning(
    config: str, row: str, batch_size: int, options: Options, start: Start
) -> Cell:
    """Return a fine-tuning at half the learning rate."""
    rate = LEARNING_RATE[config] / 2
    rest = schedule(config, batch_size, rate=rate)
    return training(config, row, str(batch_size), {**options, **rest}, start)


# Frozen BN in the backbone, as the papers' detectors fine-tune it.
FROZEN: Options = {
    **norm(type='BN'),
    'model.backbone.norm_cfg.requires_grad': False,
    'model.backbone.norm_eval': True,
}
