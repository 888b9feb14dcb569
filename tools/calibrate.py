"""Replaces a checkpoint's running statistics by their batch average: exact
averages over training images with the weights frozen."""

import argparse
import os

from rich.console import Console

from whiten_plugins.calibration.checkpoint import calibrate_checkpoint
from whiten_plugins.cli.arguments import add_cfg_options
from whiten_plugins.config.loading import load_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file of the training')
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
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace FILE if it is there already',
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher (default: none)',
    )
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', '0')
    console = Console()
    try:
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
            console=console,
        )
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    if os.environ.get('RANK', '0') == '0':
        for name in done.kept:
            print(f'kept, for it was not run or not finite: {name}')
        print(f'{len(done.averaged)} norms averaged: {args.out}')


if __name__ == '__main__':
    main()
