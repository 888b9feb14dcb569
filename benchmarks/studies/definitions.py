"""The studies, by name."""

from __future__ import annotations

from typing import Any

from benchmarks.studies.study import Cell, Study

_DETECTOR = 'mini/mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco.py'
_SEGMENTOR = 'mini/pspnet_r18-d8_sw_1xb16-1000i_mini-ade20k.py'

# Every norm of the network; the networks have layers of 64 to 512 channels.
NORMS: dict[str, dict[str, Any]] = {
    'BN': dict(type='BN'),
    'GN': dict(type='GN', num_groups=32),
    'SN': dict(type='SN'),
    "SN ('in', 'ln')": dict(type='SN', stats=('in', 'ln')),
    'SW': dict(type='SW'),
    'GW': dict(type='GW'),
}


def _norm(norm_cfg: dict[str, Any]) -> dict[str, Any]:
    return {f'norm_cfg.{key}': value for key, value in norm_cfg.items()}


def _schedule(images: int, batch_size: int) -> dict[str, Any]:
    """Return a schedule that shows the same images at every batch size.

    AdamW's learning rate is proportional to the root of the batch size.
    """
    iterations = images // batch_size
    return {
        'train_dataloader.batch_size': batch_size,
        'train_cfg.max_iters': iterations,
        'train_cfg.val_interval': iterations,
        'param_scheduler.0.end': max(1, iterations // 8),
        'param_scheduler.1.begin': max(1, iterations // 8),
        'param_scheduler.1.end': iterations,
        'default_hooks.checkpoint.interval': iterations,
        # Residual branches start at gamma 1: at 0 their ratios get no
        # gradient.
        'model.backbone.zero_init_residual': False,
    }


def _small_batches() -> tuple[Cell, ...]:
    return tuple(
        Cell(
            norm,
            str(batch_size),
            {
                **_norm(norm_cfg),
                **_schedule(1600, batch_size),
                'optim_wrapper.optimizer.lr': 5e-4 * batch_size**0.5,
            },
        )
        for norm, norm_cfg in NORMS.items()
        for batch_size in (1, 2, 4, 8)
    )


def _newton_iterations() -> tuple[Cell, ...]:
    return tuple(
        Cell('SW', f'T={T}', {**_norm(dict(type='SW', T=T))})
        for T in (1, 3, 5, 7, 9)
    )


def _group_sizes() -> tuple[Cell, ...]:
    return tuple(
        Cell('SW', str(size), {**_norm(dict(type='SW', num_pergroup=size))})
        for size in (1, 4, 8, 16, 32)
    )


STUDIES = {
    'small-batches': Study(
        'Small batches',
        'Who fails at one and two images a batch, and who holds? (SN Fig. 3 '
        'and Table 2, GW Fig. A2)',
        _DETECTOR,
        'coco',
        'images a batch',
        ('coco/bbox_mAP', 'coco/segm_mAP'),
        _small_batches(),
    ),
    'newton-iterations': Study(
        'Newton iterations',
        'Do few and many iterations both hurt? (ItN supplement, Fig. 1)',
        _SEGMENTOR,
        'ade20k',
        'iterations',
        ('mIoU',),
        _newton_iterations(),
    ),
    'group-sizes': Study(
        'Channels whitened together',
        'How large should a group of SW be? (SW section 4)',
        _SEGMENTOR,
        'ade20k',
        'num_pergroup',
        ('mIoU',),
        _group_sizes(),
    ),
}
