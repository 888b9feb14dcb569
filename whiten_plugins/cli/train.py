"""``whiten train``: train a detector or a segmentor."""

import argparse

from ..checkpoints.reading import CheckpointError
from ..config.errors import ConfigError
from .arguments import add_common

# A ValueError while it trains may be anybody's: it keeps its traceback.
ERRORS = (
    ConfigError,
    CheckpointError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = 'Train a detector or a segmentor.'
    add_common(parser)
    parser.add_argument(
        '--amp',
        action='store_true',
        help='train in mixed precision: float16 on a GPU, bfloat16 on a CPU',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from a checkpoint (default: the latest in the work '
        'directory, if there is one)',
    )


def run(args: argparse.Namespace) -> None:
    """Train."""
    import os

    from ..analysis import check_norms, log_once, named_norm_errors
    from ..checkpoints.pretrained import check_pretrained
    from ..checkpoints.run_checks import check_run
    from ..config.loading import load_config
    from ..runner import (
        build_runner,
        enable_amp,
        enable_auto_scale_lr,
        set_resume,
    )

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    cfg.launcher = args.launcher
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg)
    set_resume(cfg, args.resume)
    check_run(cfg, 'train')
    check_pretrained(cfg)
    log_once(check_norms(cfg))
    runner = build_runner(cfg)
    with named_norm_errors(runner.model, cfg):
        runner.train()
