"""Makes the mini data set: handwritten digits on photographs."""

import argparse

from whiten_plugins.demo_data import FORMATS, make_mini_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder to make'
    )
    parser.add_argument(
        '--format', required=True, choices=FORMATS, help='data set format'
    )
    parser.add_argument(
        '--num-train',
        type=int,
        default=800,
        help='training images (%(default)s)',
    )
    parser.add_argument(
        '--num-val',
        type=int,
        default=80,
        help='validation images (%(default)s)',
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        default=[160, 160],
        metavar=('H', 'W'),
        help='height and width of the images in pixels (%(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of every random choice (%(default)s)',
    )
    args = parser.parse_args()
    try:
        made = make_mini_dataset(**vars(args), progress=True)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    print(f'{args.out}: {"made" if made else "made before, used again"}')


if __name__ == '__main__':
    main()
