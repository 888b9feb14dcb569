"""Fine-tunes an ImageNet network with SW and shows what it learned."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import checkout

checkout.prepare()

from examples.demo import (  # noqa: E402
    CONFIG_NAME,
    Demo,
    NucleiDemo,
    run_demo,
    run_nuclei,
)
from whiten_plugins.norms import NORMS  # noqa: E402

CONFIG = Path(__file__).resolve().parents[1] / 'configs/mini' / CONFIG_NAME


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--digits',
        action='store_true',
        help='train the mini Mask R-CNN from scratch on digits instead, '
        'which needs no download',
    )
    parser.add_argument(
        '--norm',
        choices=[*(norm.__name__ for norm in NORMS), 'BN'],
        help='norm of the whole network (with --digits; default: SW)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the training'
    )
    parser.add_argument(
        '--max-iters',
        type=int,
        help='training iterations (default: '
        f'{NucleiDemo.max_iters}; {Demo.max_iters} with --digits)',
    )
    parser.add_argument(
        '--data',
        type=Path,
        metavar='DIR',
        help='folder of the data set (default: data/nuclei; data/mini_coco '
        'with --digits)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        metavar='DIR',
        help='folder for the results (default: one in work_dirs/demo)',
    )
    args = parser.parse_args()
    if args.norm and not args.digits:
        parser.error('--norm needs --digits: nuclei are found with SW')
    try:
        if args.digits:
            digits(args)
        else:
            nuclei(args)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    except KeyboardInterrupt:
        parser.exit(
            130, '\nInterrupted. The same command goes on from here.\n'
        )


def digits(args: argparse.Namespace) -> None:
    norm = args.norm or Demo.norm
    demo = Demo(norm, args.seed, args.max_iters or Demo.max_iters)
    name = f'{norm.lower()}_seed{args.seed}'
    run_demo(
        demo,
        CONFIG,
        args.data or Path('data/mini_coco'),
        args.work_dir or Path('work_dirs/demo', name),
    )


def nuclei(args: argparse.Namespace) -> None:
    demo = NucleiDemo(args.seed, args.max_iters or NucleiDemo.max_iters)
    run_nuclei(
        demo,
        args.data or Path('data/nuclei'),
        args.work_dir or Path('work_dirs/demo', f'nuclei_seed{args.seed}'),
    )


if __name__ == '__main__':
    main()
