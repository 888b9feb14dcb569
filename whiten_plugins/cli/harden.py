"""``whiten harden``: let every layer use one statistic."""

import argparse

from .arguments import add_overwrite


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        'Write a checkpoint whose SN and SW layers use one statistic each: '
        'that of their largest ratio.'
    )
    parser.add_argument(
        'checkpoint',
        metavar='CHECKPOINT',
        help='training checkpoint or state dict',
    )
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='checkpoint to write'
    )
    add_overwrite(parser, 'FILE')


def run(args: argparse.Namespace) -> None:
    """Harden, and say what was chosen."""
    from collections import Counter

    from ..checkpoints.hardening import harden_checkpoint
    from ..ratios.summary import MOMENTS, choice

    hardened = harden_checkpoint(**vars(args))
    choices = zip(*map(choice, hardened.layers))
    for moment, chosen in zip(MOMENTS, choices):
        counts = Counter(chosen).most_common()
        shown = ', '.join(f'{stat} {count}' for stat, count in counts)
        print(f'{moment} of {len(hardened.layers)} layers: {shown}')
    for name in hardened.ties:
        print(f'tie, the first statistic was taken: {name}')
    print(args.out)
