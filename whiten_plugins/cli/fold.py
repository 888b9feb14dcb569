"""``whiten fold``: merge norms into the layers before them."""

import argparse

from .arguments import (
    add_cfg_options,
    add_config,
    add_overwrite,
    add_shape,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        'Merge norms of a checkpoint into the layers before them.'
    )
    parser.epilog = (
        'The folded checkpoint has a config of its own, which the other '
        'tools take: tools/test.py FILE.py FILE.pth.'
    )
    add_config(parser, 'config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        required=True,
        metavar='FILE',
        help='the folded checkpoint, a .pth file; its config goes beside it, '
        'ending in .py',
    )
    add_overwrite(parser, 'these files')
    add_shape(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Fold, and name the files."""
    from ..config.loading import load_config
    from ..deploy.folded_checkpoint import fold_checkpoint

    cfg = load_config(args.config, args.cfg_options)
    files = fold_checkpoint(
        cfg,
        args.checkpoint,
        args.out,
        overwrite=args.overwrite,
        image_size=args.shape,
    )
    for file in files:
        print(file)
