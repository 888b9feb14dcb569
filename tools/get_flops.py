"""Prints multiply-adds and parameters of a config's model and its norms."""

import argparse

from rich.console import Console

from whiten_plugins.analysis.complexity import print_complexity
from whiten_plugins.cli.arguments import add_cfg_options
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.loading import load_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        default=(800, 1280),
        metavar=('H', 'W'),
        help='height and width of the image (default: 800 1280)',
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    try:
        cfg = load_config(args.config, args.cfg_options)
        print_complexity(cfg, tuple(args.shape), Console())
    except ConfigError as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')


if __name__ == '__main__':
    main()
