"""``whiten ratios``: show which statistics every layer chose."""

import argparse

from .arguments import add_cfg_options, add_overwrite, add_shape


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from ..ratios.report import DEFAULT_FORMATS, FORMATS

    parser.description = 'Show which statistics every SN and SW layer chose.'
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
    add_shape(parser)
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
    add_overwrite(parser, 'files of an earlier report in the folder')


def run(args: argparse.Namespace) -> None:
    """Print the tables, write the report and name its files."""
    from ..config.errors import ConfigError
    from ..config.loading import load_config
    from ..ratios.report import write_report

    for option in ('cfg_options', 'shape'):
        if getattr(args, option) and not args.config:
            raise ConfigError(f'--{option.replace("_", "-")} needs --config')
    config = args.config and load_config(args.config, args.cfg_options)
    files = write_report(
        args.checkpoints,
        args.out,
        config=config,
        image_size=args.shape,
        formats=args.format,
        overwrite=args.overwrite,
    )
    for file in files:
        print(file)
