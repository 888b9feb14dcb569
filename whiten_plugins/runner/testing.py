"""What testing adds to a config: pictures, predictions, augmentation."""

import logging
from copy import deepcopy

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ..config.errors import ConfigError
from ..config.types import toolkit_of, type_name


def enable_visualization(
    cfg: Config, show: bool, show_dir: str | None, wait_time: float
) -> None:
    """Draw the predictions on every test image.

    Args:
        cfg: The config, changed in place.
        show: Whether to show them in a window.
        show_dir: Folder to save them in. As in the toolkits, detection
            places it into ``work_dir/TIMESTAMP`` unless it is absolute.
        wait_time: Seconds that a window stays open.

    Raises:
        ConfigError: If the config has no visualization hook.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ConfigError(
            '--show and --show-dir need default_hooks.visualization in the '
            'config'
        )
    hook.draw = True
    hook.interval = 1  # every image: mmseg's hook would skip 49 of 50
    if show:
        hook.show = True
        hook.wait_time = wait_time
    if show_dir is not None and _toolkit(cfg, '--show-dir') == 'mmdet':
        hook.test_out_dir = show_dir
    elif show_dir is not None:
        cfg.visualizer.save_dir = show_dir


def save_predictions(cfg: Config, out: str) -> None:
    """Save the predictions for offline evaluation.

    Args:
        cfg: The config, changed in place.
        out: For detection a ``.pkl`` file, for segmentation a folder.

    Raises:
        ConfigError: If ``out`` does not fit.
    """
    evaluator = cfg.test_evaluator
    metrics = evaluator if isinstance(evaluator, list) else [evaluator]
    if _toolkit(cfg, '--out') == 'mmdet':
        if not out.endswith(('.pkl', '.pickle')):
            raise ConfigError(
                f'--out of a detector is a .pkl or .pickle file, got {out}'
            )
        kind = _of_mmdet(cfg, 'DumpDetResults')
        dump = dict(type=kind, out_file_path=out)
        cfg.test_evaluator = [*metrics, dump]
    else:
        for metric in metrics:
            metric.output_dir = out


def enable_tta(cfg: Config) -> None:
    """Test with augmentation, by the config's ``tta_model`` and pipeline.

    A detection config without them gets mmdet's: horizontal flips.

    Raises:
        ConfigError: If a segmentation config lacks them.
    """
    missing = [k for k in ('tta_model', 'tta_pipeline') if k not in cfg]
    if missing and _toolkit(cfg, '--tta') != 'mmdet':
        raise ConfigError(f'--tta needs {missing[0]} in the config')
    for key in missing:
        print_log(
            f'--tta: no {key} in the config, using horizontal flips',
            logger='current',
            level=logging.WARNING,
        )
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    tta_model = ConfigDict(cfg.get('tta_model', _DET_TTA_MODEL))
    if type_name(tta_model) == 'DetTTAModel':
        from . import tta  # noqa: F401  one that takes masks, by this name

        tta_model.type = _of_mmdet(cfg, 'DetTTAModel')
    cfg.model = ConfigDict(**tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.get(
        'tta_pipeline', [*deepcopy(dataset.pipeline[:-1]), _DET_TTA_FLIP]
    )


def _toolkit(cfg: Config, option: str) -> str:
    toolkit = toolkit_of(cfg)
    if toolkit is None:
        raise ConfigError(
            f"{option} works for default_scope 'mmdet' and 'mmseg', but the "
            f'config has {cfg.get("default_scope")!r}'
        )
    return toolkit


def _of_mmdet(cfg: Config, name: str) -> str:
    """Name a type of mmdet's in a config that may have no default scope."""
    return name if cfg.get('default_scope') else f'mmdet.{name}'


# mmdet's own defaults, of its tools/test.py.
_DET_TTA_MODEL = dict(
    type='DetTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
_DET_TTA_FLIP = dict(
    type='TestTimeAug',
    transforms=[
        [
            dict(type='mmdet.RandomFlip', prob=1.0),
            dict(type='mmdet.RandomFlip', prob=0.0),
        ],
        [
            dict(
                type='mmdet.PackDetInputs',
                meta_keys=(
                    'img_id',
                    'img_path',
                    'ori_shape',
                    'img_shape',
                    'scale_factor',
                    'flip',
                    'flip_direction',
                ),
            )
        ],
    ],
)
