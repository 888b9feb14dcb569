"""``whiten norms``: list every norm of a model."""

import argparse

from .arguments import add_cfg_options, add_config


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Print every norm of a config's model and what put it there, and "
        'warn of mistakes.'
    )
    add_config(parser, 'config file')
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Print the table; warnings go to stderr."""
    from rich.console import Console
    from rich.text import Text

    from ..analysis import print_norms
    from ..config.loading import load_config

    cfg = load_config(args.config, args.cfg_options)
    warnings = print_norms(cfg, Console())
    console = Console(stderr=True)
    for warning in warnings:
        console.print(Text(f'warning: {warning}'), soft_wrap=True)
