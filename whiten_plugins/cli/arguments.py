"""Arguments that training and testing share, as the toolkits name them."""

import argparse
from collections.abc import Sequence

from mmengine.config import DictAction


class CfgOptionsAction(DictAction):
    """mmengine's ``KEY=VALUE`` pairs, with an error instead of a traceback."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        for pair in values:
            try:
                super().__call__(parser, namespace, [pair], option_string)
            except (ValueError, AssertionError):
                raise argparse.ArgumentError(
                    self, f'expected KEY=VALUE, got {pair!r}'
                ) from None


def add_cfg_options(
    parser: argparse.ArgumentParser,
    help: str = 'settings that replace those of the config, as for training',
) -> None:
    """Adds ``--cfg-options KEY=VALUE ...`` to a parser."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptionsAction,
        metavar='KEY=VALUE',
        help=help,
    )


def common_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of both tools.

    Args:
        description: First line of the help.

    Returns:
        The parser, with ``config`` as its first positional argument.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints (default: work_dir in the '
        'config, else ./work_dirs/CONFIG_NAME)',
    )
    add_cfg_options(
        parser,
        'settings that replace those of the config, as in '
        'model.backbone.depth=101 or key="[(a,b),(c,d)]"; norm_cfg.KEY '
        'reaches every norm_cfg in the model that equals the top-level one',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher (default: none)',
    )
    # Passed by torch.distributed.launch; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser
