"""Shows which statistics every SN and SW layer chose."""

import argparse

from whiten_plugins.cli.arguments import add_cfg_options
from whiten_plugins.config.loading import load_config
from whiten_plugins.ratios.report import (
    DEFAULT_FORMATS,
    FORMATS,
    write_report,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='CHECKPOINT',
        help='training checkpoint, state dict, or work directory, whose '
        'epochs show the training; several are shown side by side',
    )
    parser.add_argument(
        '--config',
        help='config of the network: finds the order of its layers and '
        'their receptive fields',
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='folder for the report (default: ratios, in the first work '
        'directory or beside the first checkpoint)',
    )
    parser.add_argument(
        '--format',
        type=lambda text: text.split(','),
        default=DEFAULT_FORMATS,
        metavar='LIST',
        help=f'what to write, some of {",".join(FORMATS)} (default: '
        f'{",".join(DEFAULT_FORMATS)})',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace files of an earlier report in the folder',
    )
    args = parser.parse_args()
    if args.cfg_options and not args.config:
        parser.error('--cfg-options needs --config')
    try:
        config = args.config and load_config(args.config, args.cfg_options)
        files = write_report(
            args.checkpoints,
            args.out,
            config=config,
            formats=args.format,
            overwrite=args.overwrite,
        )
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    for file in files:
        print(file)


if __name__ == '__main__':
    main()
