"""Tests and evaluates a checkpoint of a detector or a segmentor."""

import os

from mmengine.dist import is_main_process
from rich.console import Console

from whiten_plugins.analysis import named_norm_errors
from whiten_plugins.cli.arguments import common_parser
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.loading import load_config
from whiten_plugins.runner import (
    build_runner,
    enable_tta,
    enable_visualization,
    save_predictions,
)
from whiten_plugins.runner.test_sets import (
    prepare_test_sets,
    results_table,
    run_test_sets,
)


def main() -> None:
    parser = common_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        help='save the predictions: a .pkl file for a detector, a folder '
        'for a segmentor',
    )
    parser.add_argument(
        '--show', action='store_true', help='show the predictions'
    )
    parser.add_argument(
        '--show-dir',
        help='folder for pictures of the predictions; for a detector in '
        'WORK_DIR/TIMESTAMP unless absolute',
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        metavar='SECONDS',
        help='how long --show shows each (default: 2)',
    )
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation'
    )
    parser.add_argument(
        '--test-sets',
        nargs='+',
        metavar='NAME',
        help='test on these and print one table: names in test_sets of the '
        "config, where '*' stands for anything, or other configs",
    )
    args = parser.parse_args()
    for option in ('out', 'show', 'show_dir', 'tta'):
        if args.test_sets and getattr(args, option):
            parser.error(
                f'--{option.replace("_", "-")} is of one test set: leave '
                '--test-sets out'
            )
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    try:
        cfg = load_config(args.config, args.cfg_options, args.work_dir)
        cfg.launcher = args.launcher
        cfg.load_from = args.checkpoint
        if args.show or args.show_dir:
            enable_visualization(cfg, args.show, args.show_dir, args.wait_time)
        if args.tta:
            enable_tta(cfg)
        if args.out:
            save_predictions(cfg, args.out)
        sets = args.test_sets and prepare_test_sets(cfg, args.test_sets)
        runner = build_runner(cfg)
        with named_norm_errors(runner.model, cfg):
            if not sets:
                runner.test()
                return
            results = run_test_sets(runner, sets)
        if is_main_process():
            Console().print(results_table(results, sets))
    except (ConfigError, FileNotFoundError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')


if __name__ == '__main__':
    main()
