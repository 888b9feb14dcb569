"""``whiten test``: test and evaluate a checkpoint."""

import argparse

from ..config.errors import ConfigError
from .arguments import add_common
from .train import ERRORS

__all__ = ['ERRORS', 'configure', 'run']


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        'Test and evaluate a checkpoint of a detector or a segmentor.'
    )
    add_common(parser)
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


def run(args: argparse.Namespace) -> None:
    """Test."""
    import os

    from mmengine.dist import is_main_process
    from rich.console import Console

    from ..analysis import named_norm_errors
    from ..checkpoints.run_checks import check_fits, check_run
    from ..config.loading import load_config
    from ..runner import (
        build_runner,
        enable_tta,
        enable_visualization,
        save_predictions,
    )
    from ..runner.test_sets import (
        prepare_test_sets,
        results_table,
        run_test_sets,
    )

    for option in ('out', 'show', 'show_dir', 'tta'):
        if args.test_sets and getattr(args, option):
            raise ConfigError(
                f'--{option.replace("_", "-")} is of one test set: leave '
                '--test-sets out'
            )
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options, args.work_dir)
    cfg.launcher = args.launcher
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show or args.show_dir:
        enable_visualization(cfg, args.show, args.show_dir, args.wait_time)
    if args.tta:
        enable_tta(cfg)
    if args.out:
        save_predictions(cfg, args.out)
    check_run(cfg, 'test')
    sets = args.test_sets and prepare_test_sets(cfg, args.test_sets)
    runner = build_runner(cfg)
    check_fits(runner.model, args.checkpoint)
    with named_norm_errors(runner.model, cfg):
        if not sets:
            runner.test()
            return
        results = run_test_sets(runner, sets)
    if is_main_process():
        Console().print(results_table(results, sets))
