"""Arguments that several commands share, as the toolkits name them."""

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


def add_config(parser: argparse.ArgumentParser, help: str) -> None:
    """Add the positional ``config``."""
    parser.add_argument(
        'config',
        help=f'{help}; whiten_plugins::sw/NAME.py is one of this package',
    )


def add_cfg_options(
    parser: argparse.ArgumentParser,
    help: str = 'settings that replace those of the config, as for training',
) -> None:
    """Add ``--cfg-options KEY=VALUE ...`` to a parser."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptionsAction,
        metavar='KEY=VALUE',
        help=help,
    )


def add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--overwrite``."""
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help=f'replace {what} if there already',
    )


def add_shape(parser: argparse.ArgumentParser) -> None:
    """Add ``--shape H W``, of the image that goes through the network."""
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='size of the image that goes through the network once (default: '
        'a small one, or one that the config names)',
    )


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher``."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher (default: none)',
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add what training and testing share, ``config`` first."""
    add_config(parser, 'config file')
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
    add_launcher(parser)
    # Passed by torch.distributed.launch; torchrun sets LOCAL_RANK instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
