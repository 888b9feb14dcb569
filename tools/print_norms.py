"""Prints every norm of a config's model and warns of mistakes."""

import argparse

from rich.console import Console
from rich.text import Text

from whiten_plugins.analysis import print_norms
from whiten_plugins.cli.arguments import add_cfg_options
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.loading import load_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    add_cfg_options(parser)
    args = parser.parse_args()
    try:
        cfg = load_config(args.config, args.cfg_options)
        warnings = print_norms(cfg, Console())
    except ConfigError as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    console = Console(stderr=True)
    for warning in warnings:
        console.print(Text(f'warning: {warning}'), soft_wrap=True)


if __name__ == '__main__':
    main()
