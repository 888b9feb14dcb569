"""Times the norms, or whole networks, against BatchNorm in one process."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import checkout

checkout.prepare()

import torch  # noqa: E402

from benchmarks import layers, network, report  # noqa: E402
from tests import reference  # noqa: E402

PAPER = {
    f'paper-{name}': getattr(reference, name)
    for name in ('SN', 'SW', 'GW', 'BW', 'ItN', 'IW')
}


def shape(text: str) -> tuple[int, ...]:
    """``2x64x200x336`` as a tuple."""
    return tuple(int(part) for part in text.split('x'))


def positive(text: str) -> int:
    """Read a number of rounds or threads."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {number}')
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument(
        '--dtype',
        default='float32',
        choices=('float32', 'float16', 'bfloat16'),
    )
    parser.add_argument(
        '--norms',
        nargs='+',
        default=layers.DEFAULT_NORMS,
        metavar='TYPE[:key=value,...]',
        help='BN is always there; paper-SN and the like are the '
        'straightforward autograd versions of the tests '
        f'(default: {" ".join(layers.DEFAULT_NORMS)})',
    )
    parser.add_argument(
        '--shapes',
        nargs='+',
        type=shape,
        default=layers.SHAPES,
        metavar='NxCxHxW',
    )
    parser.add_argument('--repeats', type=positive, default=30)
    parser.add_argument(
        '--threads', type=positive, default=2, help='CPU threads (default: 2)'
    )
    parser.add_argument('--json', type=Path, metavar='F', help='write here')
    parser.add_argument(
        '--network',
        action='store_true',
        help='time training steps of ResNet-50 with whitening placed in it',
    )
    parser.add_argument(
        '--sizes',
        nargs='+',
        type=int,
        default=(224, 713),
        help='image sizes for --network (default: 224 713)',
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    try:
        if args.network:
            found = network.run(args.sizes, device, dtype, args.repeats)
        else:
            found = layers.run(
                args.shapes, args.norms, PAPER, device, dtype, args.repeats
            )
    except (SyntaxError, TypeError, ValueError) as error:
        parser.error(str(error))
    report.show(found)
    if args.json:
        report.write(found, args.json)


if __name__ == '__main__':
    main()
