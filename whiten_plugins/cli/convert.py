"""``whiten convert``: convert a checkpoint of an ImageNet ResNet."""

import argparse

from .arguments import add_overwrite


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from ..checkpoints.conversion import (
        INIT_RATIOS,
        KERAS,
        LAYOUTS,
        OURS,
        SOURCES,
    )

    parser.description = (
        "Convert an ImageNet ResNet's checkpoint for a config's backbone, or "
        'back to the layout of a published one.'
    )
    parser.add_argument(
        'src',
        metavar='SRC',
        help=f'checkpoint: {", ".join(SOURCES.values())}, or the model.json '
        "of a Keras ResNet-50; what is elsewhere is fetched into torch's "
        'cache',
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
        choices=['auto', *LAYOUTS, KERAS],
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
        '--weights',
        metavar='KEY',
        help='of the weights in SRC, for averaged ones such as '
        'state_dict_ema (default: state_dict, else model, else the file '
        'itself)',
    )
    parser.add_argument(
        '--trust-pickle',
        action='store_true',
        help='load objects in SRC too, which executes what the file says',
    )
    add_overwrite(parser, 'DST and its report')


def run(args: argparse.Namespace) -> None:
    """Convert, and say what was done."""
    from rich.console import Console

    from ..checkpoints.conversion import convert_checkpoint
    from .conversion import print_report

    print_report(convert_checkpoint(**vars(args)), Console())
