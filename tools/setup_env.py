"""Make an environment of this project: `python3 tools/setup_env.py`.

Needs nothing but CPython 3.10 to 3.12 and a C++ compiler, and can be run
again at any time: what is there is reused, what an interrupted run left
unfinished is repaired. This file alone keeps to the syntax of older Pythons,
so that they can say that they are not the right one.
"""

import argparse
import sys


def check_python():
    """Return what is wrong with the running interpreter, or None."""
    if not sys.platform.startswith('linux'):
        return f'this project is set up on Linux, and this is {sys.platform}'
    version = '.'.join(str(part) for part in sys.version_info[:3])
    name = sys.implementation.name
    if name == 'cpython' and (3, 10) <= sys.version_info[:2] <= (3, 12):
        return None
    return (
        f'{sys.executable} is {name} {version}; CPython 3.10, 3.11 or 3.12 '
        'is needed: install one and name it, as in '
        '`make demo PYTHON=python3.11`'
    )


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description='Set up an environment.')
    parser.add_argument(
        'lane',
        nargs='?',
        default='default',
        choices=('default', 'oldest'),
        help='default: the toolkits and all tools, in .venv; oldest: the '
        'layers with the oldest torch, in .venv-oldest',
    )
    parser.add_argument('--venv', metavar='DIR', help='make it in DIR instead')
    return parser.parse_args(argv)


def main():
    args = parse_args()
    problem = check_python()
    if problem:
        sys.stderr.write('setup_env: ' + problem + '\n')
        return 2
    from environment.setup import run

    return run(args.lane, args.venv)


if __name__ == '__main__':
    sys.exit(main())
