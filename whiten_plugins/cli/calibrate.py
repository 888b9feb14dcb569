"""``whiten calibrate``: make running statistics exact averages."""

import argparse

from .arguments import (
    add_cfg_options,
    add_config,
    add_launcher,
    add_overwrite,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Replace a checkpoint's running statistics by their batch average: "
        'exact averages over training images with the weights frozen.'
    )
    add_config(parser, 'config file of the training')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--num-images',
        type=int,
        required=True,
        metavar='N',
        help='random training images to average over',
    )
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='checkpoint to write'
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        metavar='B',
        help='images a mini-batch of one process (default: as in training, '
        'whose statistics depend on it)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the choice of images and everything random (default: 0)',
    )
    add_overwrite(parser, 'FILE')
    add_cfg_options(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> None:
    """Calibrate, and say which norms."""
    import os

    from rich.console import Console

    from ..calibration.checkpoint import calibrate_checkpoint
    from ..config.loading import load_config

    os.environ.setdefault('LOCAL_RANK', '0')
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    done = calibrate_checkpoint(
        cfg,
        args.checkpoint,
        args.out,
        args.num_images,
        batch_size=args.batch_size,
        seed=args.seed,
        overwrite=args.overwrite,
        console=Console(),
    )
    if os.environ.get('RANK', '0') == '0':
        for name in done.kept:
            print(f'kept, for it was not run or not finite: {name}')
        print(f'{len(done.averaged)} norms averaged: {args.out}')
