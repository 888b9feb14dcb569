"""Merges norms of a checkpoint into the layers before them."""

import argparse

from whiten_plugins.cli.arguments import add_cfg_options
from whiten_plugins.config.loading import load_config
from whiten_plugins.deploy.folded_checkpoint import fold_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='The folded checkpoint has a config of its own, which the '
        'other tools take: tools/test.py FILE.py FILE.pth.',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        required=True,
        metavar='FILE',
        help='the folded checkpoint, a .pth file; its config goes beside it, '
        'ending in .py',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace these files if they are there already',
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    try:
        cfg = load_config(args.config, args.cfg_options)
        files = fold_checkpoint(
            cfg, args.checkpoint, args.out, overwrite=args.overwrite
        )
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    for file in files:
        print(file)


if __name__ == '__main__':
    main()
