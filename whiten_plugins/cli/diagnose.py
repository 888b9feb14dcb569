"""``whiten diagnose``: what each norm does on this data, what to change."""

import argparse

from .arguments import add_cfg_options, add_config, add_overwrite


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        'Measure every norm of a model on its training images: condition '
        'before and after, noise of batch statistics, train–test gap, '
        'constraints; say what to change.'
    )
    add_config(parser, 'config file of the training')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file (default: the weights that the training '
        'starts from)',
    )
    parser.add_argument(
        '--batches',
        type=int,
        default=20,
        metavar='N',
        help='mini-batches to look at, of the size of the training '
        '(default: 20)',
    )
    parser.add_argument(
        '--device',
        help='as cpu or cuda:0 (default: the GPU if there is one)',
    )
    parser.add_argument(
        '--backward',
        action='store_true',
        help='look at the gradients of the loss too',
    )
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='folder for diagnosis.html and diagnosis.json (default: only '
        'the table)',
    )
    add_overwrite(parser, 'the files of an earlier diagnosis in DIR')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of the choice of images and everything random (default: 0)',
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Diagnose, print the table and the advice, name the files."""
    from ..config.errors import ConfigError
    from ..config.loading import load_config
    from ..diagnosis import diagnose_config, write_diagnosis
    from ..diagnosis.report import check_out

    if args.batches < 1:
        raise ConfigError(f'--batches must be at least 1, got {args.batches}')
    if args.out is not None:
        check_out(args.out, args.overwrite)
    cfg = load_config(args.config, args.cfg_options)
    found = diagnose_config(
        cfg,
        args.checkpoint,
        num_batches=args.batches,
        device=args.device,
        backward=args.backward,
        seed=args.seed,
    )
    for file in write_diagnosis(found, args.out, overwrite=args.overwrite):
        print(file)
