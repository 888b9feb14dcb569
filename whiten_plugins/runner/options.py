"""What the options of a training change in its config."""

from pathlib import Path

from mmengine.config import Config

from ..config.errors import ConfigError
from ..config.types import type_name
from .resume import repaired_choice


def enable_amp(cfg: Config) -> None:
    """Switch on mixed precision: ``AmpOptimWrapper``, dynamic loss scale.

    Raises:
        ConfigError: If the config has none, or an optimizer wrapper of
            another kind.
    """
    wrapper = cfg.get('optim_wrapper')
    if not wrapper:
        raise ConfigError('--amp needs optim_wrapper in the config')
    kind = type_name(wrapper, 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ConfigError(
            f"--amp takes the place of optim_wrapper.type='OptimWrapper', "
            f'but the config has {kind!r}'
        )
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('loss_scale', 'dynamic')


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate with the batch size.

    Raises:
        ConfigError: If the config does not say for which batch size its
            learning rate was chosen.
    """
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise ConfigError(
            '--auto-scale-lr needs auto_scale_lr.base_batch_size in the config'
        )
    cfg.auto_scale_lr.enable = True


def set_resume(cfg: Config, resume: str | None) -> None:
    """Resume a run.

    Args:
        cfg: The config, changed in place.
        resume: A checkpoint, 'auto' for the latest one in the work
            directory, or None to leave the config as it is.

    Raises:
        ConfigError: If the latest one is damaged and no other is whole.
    """
    if resume is not None:
        cfg.resume = True
        cfg.load_from = None if resume == 'auto' else resume
    if cfg.get('resume') and not cfg.get('load_from') and 'work_dir' in cfg:
        path = repaired_choice(Path(cfg.work_dir))
        cfg.load_from = path and str(path)
