"""Checks the Triton kernels on this GPU, then times the norms there.

Needs torch and Triton 3.3 or newer, no other package and no network. Exit
code 1 if a check fails.
"""

import argparse
import importlib.util
import json
import os
import runpy
import sys
import types
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def prepare():
    """Make the norms importable where there is no mmengine.

    The ``__init__`` of these packages registers them there, which the norms
    themselves do not need.
    """
    sys.path.insert(0, str(ROOT))
    process = ROOT / 'whiten_plugins' / 'utils' / 'process.py'
    runpy.run_path(str(process))['prepare_environment']()
    for name in ('whiten_plugins', 'whiten_plugins.norms'):
        package = types.ModuleType(name)
        package.__path__ = [str(ROOT.joinpath(*name.split('.')))]
        sys.modules[name] = package


prepare()  # in the processes that a check starts, too


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--interpret',
        action='store_true',
        help="on the CPU in Triton's interpreter, as far as that goes",
    )
    parser.add_argument(
        '--only', nargs='+', metavar='CHECK', help='no others, and no times'
    )
    parser.add_argument('--list', action='store_true', help='name the checks')
    parser.add_argument(
        '--repeats', type=int, default=30, help='rounds of timing; 0 for none'
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='DIR',
        help='write gpu_check.json and gpu_check.md there',
    )
    args = parser.parse_args()
    for name in ('torch', 'triton'):
        if importlib.util.find_spec(name) is None:
            parser.error(f'{name} is not installed')
    os.environ['WHITEN_PLUGINS_BACKEND'] = 'triton'
    if args.interpret:
        os.environ['TRITON_INTERPRET'] = '1'
    import torch

    if not (args.interpret or torch.cuda.is_available()):
        parser.error('no GPU here; --interpret runs what a CPU can')
    from whiten_plugins.ops.backends.selection import triton_refusal

    device = torch.device('cpu' if args.interpret else 'cuda:0')
    refusal = triton_refusal(device)
    if refusal:
        parser.error(refusal)
    from benchmarks import gpu_checks, gpu_table

    names = args.only or list(gpu_checks.CHECKS)
    unknown = ', '.join(set(names) - set(gpu_checks.CHECKS))
    if unknown or args.list:
        known = '\n'.join(gpu_checks.CHECKS)
        if unknown:
            parser.error(f'no check {unknown}; there are\n{known}')
        print(known)
        return
    warnings.filterwarnings('ignore', category=UserWarning)
    setting = gpu_checks.Setting(device, args.interpret)
    outcomes = gpu_checks.run(
        setting, names, lambda found: print(*found[:3], sep=': ', flush=True)
    )
    times = []
    if args.repeats and not (args.interpret or args.only):
        times = gpu_table.measure(device, args.repeats)
    found = {
        'machine': gpu_table.describe(device),
        'checks': [outcome._asdict() for outcome in outcomes],
        'times': times,
    }
    text = gpu_table.show(found)
    print(f'\n{text}')
    if args.out:
        write(found, text, args.out)
    sys.exit(gpu_checks.wrong(outcomes))


def write(found, text, folder):
    """Write both files, or neither."""
    from whiten_plugins.utils.files import write_texts

    write_texts(
        {
            folder / 'gpu_check.json': json.dumps(found, indent=1) + '\n',
            folder / 'gpu_check.md': text,
        }
    )


if __name__ == '__main__':
    main()
