"""Writes a checkpoint's network as an ONNX file, compared in onnxruntime."""

import argparse
from pathlib import Path

from whiten_plugins.checkpoints.loading import load_model
from whiten_plugins.cli.arguments import add_cfg_options
from whiten_plugins.config.loading import load_config
from whiten_plugins.deploy import export_onnx
from whiten_plugins.utils.files import check_free


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='The input are images as the data preprocessor leaves them. '
        'The outputs are the logits of every pixel for a segmentor, the '
        'feature maps of backbone and neck for a detector.',
    )
    parser.add_argument('config', help='config file')
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
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace the file if it is there already',
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    try:
        check_free([args.out], args.overwrite, file_name='--out')
        cfg = load_config(args.config, args.cfg_options)
        model, _ = load_model(cfg, args.checkpoint)
        shape = (3, *args.shape)
        difference = export_onnx(model, args.out, shape, args.dynamic)
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    print(f'{args.out}: differs from PyTorch by {difference:.1e}')


if __name__ == '__main__':
    main()
