"""Converts an ImageNet ResNet's checkpoint for a config's backbone, or back
to the layout of a published one."""

import argparse

from rich.console import Console

from whiten_plugins.checkpoints.conversion import (
    INIT_RATIOS,
    LAYOUTS,
    OURS,
    convert_checkpoint,
)
from whiten_plugins.cli.conversion import print_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'src',
        metavar='SRC',
        help='checkpoint, or torchvision://resnet50 and the like, taken from '
        "torch's cache",
    )
    parser.add_argument(
        'dst',
        metavar='DST',
        help='checkpoint to write; its report is written beside it as .json',
    )
    parser.add_argument(
        '--config',
        help='config whose backbone is to load DST; may be left out with --to',
    )
    parser.add_argument(
        '--source',
        choices=['auto', *LAYOUTS],
        default='auto',
        help='layout of SRC (default: told from its keys and shapes)',
    )
    parser.add_argument(
        '--to',
        choices=LAYOUTS,
        default=OURS,
        help='layout of DST (default: %(default)s, the one of the toolkits)',
    )
    parser.add_argument(
        '--init-ratios',
        choices=INIT_RATIOS,
        default='uniform',
        help='where ratios of SN and SW start that SRC does not have: all '
        'alike, or at the batch statistics (default: %(default)s)',
    )
    parser.add_argument(
        '--trust-pickle',
        action='store_true',
        help='load objects in SRC too, which executes what the file says',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace DST and its report if they are there already',
    )
    args = parser.parse_args()
    try:
        report = convert_checkpoint(**vars(args))
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    print_report(report, Console())


if __name__ == '__main__':
    main()
