"""Mend the build of mmcv from its source distribution.

Python imports this module at its start where the folder is in ``PYTHONPATH``,
as `tools/dev/lane.py` puts it while it builds. In the folder of mmcv's source
it has setuptools run a corrected ``setup.py``; the file itself stays as it is.
Beside what is listed here, mmcv needs ``setuptools<82`` to be built
(``pkg_resources``; see ``extra-build-dependencies`` in pyproject.toml).

``WHITEN_PLUGINS_MMCV_OPS=none`` builds mmcv without its compiled operators,
under its own name: with its own switch, ``MMCV_WITH_OPS=0``, it is called
mmcv-lite, which nothing that asks for mmcv accepts.
"""

import io
import os
import sys
from importlib import metadata
from pathlib import Path


def corrections(torch: 'str | None') -> 'list[tuple[str, str]]':
    """Return the texts to replace in ``setup.py``, and what takes their place.

    Args:
        torch: The version that the operators are compiled against, None for
            none.
    """
    found = [
        # PEP 667: since Python 3.13, exec() does not write to locals().
        # Unneeded where mmcv is newer than 2.2.0; onedl-mmcv has mended it.
        (
            "exec(compile(f.read(), version_file, 'exec'))\n"
            "    return locals()['__version__']",
            'found = {}\n'
            "        exec(compile(f.read(), version_file, 'exec'), found)\n"
            "    return found['__version__']",
        )
    ]
    if torch and tuple(map(int, torch.split('.')[:2])) >= (2, 14):
        # torch's headers need C++20 since 2.14. Unneeded where mmcv leaves
        # the standard to torch.
        found.append(("'-std=c++17'", "'-std=c++20'"))
    return found


def torch_version() -> 'str | None':
    try:
        return metadata.version('torch')
    except metadata.PackageNotFoundError:
        return None


def corrected(script: str, torch: 'str | None') -> str:
    """Return the text of mmcv's ``setup.py`` as it is run."""
    for old, new in corrections(torch):
        script = script.replace(old, new)
    return script


def is_mmcv(folder: Path) -> bool:
    """Whether a folder holds the source of mmcv or onedl-mmcv."""
    return (folder / 'setup.py').is_file() and (
        folder / 'mmcv' / 'version.py'
    ).is_file()


def install() -> None:
    """Have setuptools run the corrected script."""
    if os.environ.get('WHITEN_PLUGINS_MMCV_OPS') == 'none':
        sys.modules['torch'] = None  # mmcv then skips its operators
    try:
        from setuptools import build_meta
    except ImportError:
        return  # not the interpreter that builds
    build_meta._open_setup_script = lambda path: io.StringIO(
        corrected(Path(path).read_text(encoding='utf-8'), torch_version())
    )


if is_mmcv(Path.cwd()):
    install()
