"""Trains a detector or a segmentor."""

import logging
import os

from mmengine.logging import print_log

from whiten_plugins.analysis import check_norms, named_norm_errors
from whiten_plugins.checkpoints.pretrained import check_pretrained
from whiten_plugins.cli.arguments import common_parser
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.loading import load_config
from whiten_plugins.runner import (
    build_runner,
    enable_amp,
    enable_auto_scale_lr,
    set_resume,
)


def main() -> None:
    parser = common_parser(__doc__)
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
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        cfg = load_config(args.config, args.cfg_options, args.work_dir)
        cfg.launcher = args.launcher
        if args.amp:
            enable_amp(cfg)
        if args.auto_scale_lr:
            enable_auto_scale_lr(cfg)
        set_resume(cfg, args.resume)
        check_pretrained(cfg)
        for warning in check_norms(cfg):
            print_log(warning, logger='current', level=logging.WARNING)
        runner = build_runner(cfg)
        with named_norm_errors(runner.model, cfg):
            runner.train()
    except (ConfigError, FileNotFoundError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')


if __name__ == '__main__':
    main()
