"""Building mmengine's runner, with or without a GPU."""

import logging
import os
from pathlib import Path

import torch.distributed
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..config.errors import ConfigError
from ..config.types import type_name


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config.

    Args:
        cfg: The config; ``launcher`` names the job launcher.

    Returns:
        The runner, ready to ``train()`` or ``test()``.

    Raises:
        ConfigError: If the checkpoint to load is not there or the launcher
            cannot work.
    """
    _check_load_from(cfg.get('load_from'))
    launcher = cfg.get('launcher', 'none')
    if launcher == 'pytorch' and 'RANK' not in os.environ:
        raise ConfigError(
            '--launcher pytorch is for processes that torchrun started: use '
            'tools/dist_train.sh or tools/dist_test.sh, or torchrun '
            '--nproc_per_node=GPUS -m whiten_plugins train CONFIG '
            '--launcher pytorch'
        )
    if get_device() == 'cpu':
        _use_cpu_amp(cfg)
        if launcher != 'none':
            _join_gloo(cfg)
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def _check_load_from(checkpoint: str | None) -> None:
    if checkpoint is None or '://' in checkpoint:
        return
    if not Path(checkpoint).is_file():
        raise ConfigError(f'no such checkpoint: {checkpoint}')


def _use_cpu_amp(cfg: Config) -> None:
    """Put :class:`CPUAmpOptimWrapper` where a GPU's wrapper would fail."""
    wrapper = cfg.get('optim_wrapper') or {}
    if type_name(wrapper) == 'AmpOptimWrapper':
        wrapper['type'] = 'CPUAmpOptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            wrapper.pop(key, None)
        print_log(
            'No GPU: mixed precision is bfloat16 autocast on the CPU',
            logger='current',
            level=logging.WARNING,
        )


def _join_gloo(cfg: Config) -> None:
    """Join a gloo group: mmengine's launcher needs a GPU in every process.

    Runner leaves an existing group alone, and takes the wrapper's
    ``device_ids`` from the config.
    """
    if cfg.launcher != 'pytorch':
        raise ConfigError(
            f'--launcher {cfg.launcher} needs a GPU for each process; '
            'without any, use --launcher pytorch'
        )
    if not is_distributed():
        torch.distributed.init_process_group('gloo')
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.model_wrapper_cfg = dict(wrapper, device_ids=None)
