"""Put configs and tools into the wheel, where OpenMMLab looks for them.

Everything else is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithMim(build_py):
    """Add ``whiten_plugins/.mim``: configs, their index and the tools.

    An editable installation uses those of the checkout.
    """

    def run(self):
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib, 'whiten_plugins', '.mim')
        # What an earlier build left is not part of this one.
        shutil.rmtree(mim, ignore_errors=True)
        no_caches = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / 'configs', mim / 'configs', ignore=no_caches)
        shutil.copy(ROOT / 'model-index.yml', mim)
        (mim / 'tools').mkdir()
        for tool in sorted((ROOT / 'tools').iterdir()):
            if is_command(tool):
                shutil.copy(tool, mim / 'tools')


def is_command(tool):
    """Return whether a tool needs nothing but the package."""
    if tool.suffix == '.py':
        runs_command = 'from checkout import run' in tool.read_text()
        return runs_command or tool.name == 'checkout.py'
    return tool.suffix == '.sh'


setup(cmdclass={'build_py': BuildWithMim})
