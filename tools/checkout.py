"""Run what is in this checkout: the package's commands, and what needs more.

In the wheel, where the tools lie in the package's `.mim`, its commands.

Any Python can run it, also one that lacks what the package needs, which is
told so in one line.
"""

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IS_CHECKOUT = (ROOT / 'whiten_plugins').is_dir()
PACKAGE = ROOT / 'whiten_plugins' if IS_CHECKOUT else ROOT.parent


def prepare():
    """Find the package of this checkout, and set up this process for it.

    Comes before the first import of torch. Without torch or mmengine the
    process ends with exit code 2.
    """
    if IS_CHECKOUT:  # first, for another version may be installed
        sys.path.insert(0, str(ROOT))
    # Importing the package loads torch, which comes too late for this.
    process = runpy.run_path(str(PACKAGE / 'utils' / 'process.py'))
    process['prepare_environment']()
    try:
        import whiten_plugins  # noqa: F401
    except ImportError as error:
        if error.name not in ('torch', 'mmengine'):
            raise
        sys.stderr.write(f'{Path(sys.argv[0]).name}: error: {error}\n')
        sys.exit(2)


def run(command):
    """Run a command under the name of this script, and exit.

    Args:
        command: a key of ``whiten_plugins.cli.COMMANDS``.
    """
    prepare()
    from whiten_plugins.cli import run_command

    code = run_command(command)
    if code:
        sys.exit(code)
