"""``whiten env``: what a report of a problem needs to say."""

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        'Print the versions, the kernels and the hardware that matter here.'
    )


def run(args: argparse.Namespace) -> None:
    """Collect and print."""
    from ..analysis.environment import collect_env, format_env

    print(format_env(collect_env()))
