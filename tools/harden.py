"""Writes a checkpoint whose SN and SW layers use one statistic each: that of
their largest ratio."""

import argparse
from collections import Counter

from whiten_plugins.checkpoints.hardening import harden_checkpoint
from whiten_plugins.ratios.summary import MOMENTS, choice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'checkpoint',
        metavar='CHECKPOINT',
        help='training checkpoint or state dict',
    )
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='checkpoint to write'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace FILE if it is there already',
    )
    args = parser.parse_args()
    try:
        hardened = harden_checkpoint(**vars(args))
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    choices = zip(*map(choice, hardened.layers))
    for moment, chosen in zip(MOMENTS, choices):
        counts = Counter(chosen).most_common()
        shown = ', '.join(f'{stat} {count}' for stat, count in counts)
        print(f'{moment} of {len(hardened.layers)} layers: {shown}')
    for name in hardened.ties:
        print(f'tie, the first statistic was taken: {name}')
    print(args.out)


if __name__ == '__main__':
    main()
