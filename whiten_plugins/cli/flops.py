"""``whiten flops``: count multiply-adds and parameters."""

import argparse

from .arguments import add_cfg_options, add_config


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Print multiply-adds and parameters of a config's model and its norms."
    )
    add_config(parser, 'config file')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(800, 1280),
        metavar=('H', 'W'),
        help='height and width of the image (default: 800 1280)',
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Count and print."""
    from rich.console import Console

    from ..analysis.complexity import print_complexity
    from ..config.loading import load_config

    cfg = load_config(args.config, args.cfg_options)
    print_complexity(cfg, tuple(args.shape), Console())
