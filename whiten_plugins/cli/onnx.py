"""``whiten onnx``: write a network as an ONNX file."""

import argparse
from pathlib import Path

from .arguments import add_cfg_options, add_config, add_overwrite


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.description = (
        "Write a checkpoint's network as an ONNX file, compared in "
        'onnxruntime.'
    )
    parser.epilog = (
        'The input are images as the data preprocessor leaves them. The '
        'outputs are the logits of every pixel for a segmentor, the feature '
        'maps of backbone and neck for a detector.'
    )
    add_config(parser, 'config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out', required=True, metavar='FILE', type=Path, help='ONNX file'
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs=2,
        required=True,
        metavar=('H', 'W'),
        help='height and width of an image',
    )
    parser.add_argument(
        '--dynamic',
        action='store_true',
        help='any number of images of any size (exporting takes minutes)',
    )
    add_overwrite(parser, 'the file')
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Export, and say how far it is from PyTorch."""
    from ..checkpoints.loading import load_model
    from ..config.loading import load_config
    from ..deploy.onnx_export import PACKAGES, export_onnx
    from ..utils.files import check_free
    from ..utils.requirements import require

    require(*PACKAGES, for_='ONNX export')
    check_free(
        [args.out], args.overwrite, Path(args.checkpoint), file_name='--out'
    )
    cfg = load_config(args.config, args.cfg_options)
    model, _ = load_model(cfg, args.checkpoint)
    shape = (3, *args.shape)
    difference = export_onnx(
        model, args.out, shape, args.dynamic, overwrite=args.overwrite
    )
    print(f'{args.out}: differs from PyTorch by {difference:.1e}')
