"""Trains a small Mask R-CNN with SW and shows what its layers learned."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import checkout

checkout.prepare()

from examples.demo import CONFIG_NAME, Demo, run_demo  # noqa: E402
from whiten_plugins.norms import NORMS  # noqa: E402

CONFIG = Path(__file__).resolve().parents[1] / 'configs/mini' / CONFIG_NAME


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--norm',
        default='SW',
        choices=[*(norm.__name__ for norm in NORMS), 'BN'],
        help='norm of the whole network (default: SW)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the training'
    )
    parser.add_argument(
        '--max-iters',
        type=int,
        default=400,
        help='training iterations (default: 400)',
    )
    parser.add_argument(
        '--data',
        type=Path,
        default='data/mini_coco',
        metavar='DIR',
        help='folder of the data set (default: data/mini_coco)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        metavar='DIR',
        help='folder for the results (default: work_dirs/demo/NORM_seedSEED)',
    )
    args = parser.parse_args()
    work_dir = args.work_dir or Path(
        'work_dirs', 'demo', f'{args.norm.lower()}_seed{args.seed}'
    )
    demo = Demo(args.norm, args.seed, args.max_iters)
    try:
        run_demo(demo, CONFIG, args.data, work_dir)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    except KeyboardInterrupt:
        parser.exit(
            130, '\nInterrupted. The same command goes on from here.\n'
        )


if __name__ == '__main__':
    main()
