"""The ``whiten`` command, and what ``tools/*.py`` run.

A command is a file here with two functions, ``configure(parser)`` and
``run(args)``, and a row in ``COMMANDS``. The file is imported when its
command is chosen; what it imports at its top, ``--help`` waits for. Where not
every ``ValueError`` means bad input, it names those that do in ``ERRORS``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from ..utils.process import (
    INTERRUPTED,
    fail,
    prepare_environment,
    termination_unwinds,
)
from ..utils.requirements import MissingPackageError

COMMANDS = {
    'train': 'train a detector or a segmentor',
    'test': 'test and evaluate a checkpoint',
    'convert': 'convert a checkpoint of an ImageNet ResNet for a config',
    'norms': 'list every norm of a model and what put it there',
    'diagnose': 'measure what each norm does on its data, and advise',
    'ratios': 'show which statistics every SN and SW layer chose',
    'calibrate': 'make running statistics exact averages over images',
    'harden': 'let every SN and SW layer use its preferred statistic alone',
    'fold': 'merge norms into the layers before them',
    'onnx': 'write the network of a checkpoint as an ONNX file',
    'flops': 'count multiply-adds and parameters of a model and its norms',
    'demo-data': 'make a small data set',
    'env': 'print what a report of a problem needs',
}
BAD_INPUT = (ValueError, OSError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``whiten COMMAND ...``.

    Args:
        argv: the arguments. Default: those of this process.

    Returns:
        int: The exit code.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments and arguments[0] in COMMANDS:
        command, *rest = arguments
        return run_command(command, rest, prog=f'whiten {command}')
    parser = argparse.ArgumentParser(
        prog='whiten',
        description='Learned normalization and whitening for MMDetection and '
        'MMSegmentation.',
        epilog='commands:\n'
        + ''.join(f'  {name:<10} {does}\n' for name, does in COMMANDS.items())
        + '\n`whiten COMMAND --help` tells the arguments of a command.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND')
    parser.add_argument('arguments', nargs='*', help='those of the command')
    parser.parse_args(arguments)
    parser.error('COMMAND comes first')


def run_command(
    command: str, argv: Sequence[str] | None = None, prog: str | None = None
) -> int:
    """Run one command.

    Args:
        command: a key of ``COMMANDS``.
        argv: its arguments. Default: those of this process.
        prog: what it is called in messages. Default: the script's name.

    Returns:
        int: The exit code, 0 or that of an interruption. Bad input ends the
        process with 2 and one line that says what is wrong.
    """
    prepare_environment()
    import_module('mmengine')  # before any module of this package: see there
    parser = argparse.ArgumentParser(prog=prog)
    try:
        with termination_unwinds():
            name = command.replace('-', '_')
            module = import_module(f'{__name__}.{name}')
            module.configure(parser)
            args = parser.parse_args(argv)
            errors = getattr(module, 'ERRORS', BAD_INPUT)
            try:
                module.run(args)
                sys.stdout.flush()
            except BrokenPipeError:
                # The reader, such as `head`, has seen enough. Python would
                # flush what is left at exit, and complain.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            except (*errors, MissingPackageError) as error:
                fail(parser.prog, error)
    except KeyboardInterrupt:
        sys.stderr.write(f'\n{parser.prog}: interrupted\n')
        return INTERRUPTED
    return 0
