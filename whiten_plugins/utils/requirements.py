"""Packages that are needed, and in one line what to do without them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

# What provides a package that has another name, or more than one source.
_INSTALL = {
    'mmengine': (
        'pip install "whiten_plugins[openmmlab]", or '
        '"whiten_plugins[onedl]" for the maintained forks'
    ),
    'mmcv': 'pip install "whiten_plugins[openmmlab]" or [onedl]',
    'mmdet': 'pip install "whiten_plugins[openmmlab]" or [onedl]',
    'mmseg': 'pip install "whiten_plugins[openmmlab]" or [onedl]',
    'matplotlib': 'pip install "whiten_plugins[report]"',
    'jinja2': 'pip install "whiten_plugins[report]"',
    'onnx': 'pip install "whiten_plugins[export]"',
    'onnxruntime': 'pip install "whiten_plugins[export]"',
    'onnxscript': 'pip install "whiten_plugins[export]"',
    'skimage': 'pip install "whiten_plugins[mini]"',
    'sklearn': 'pip install "whiten_plugins[mini]"',
}
CHECKOUT = Path(__file__).resolve().parents[2]


class MissingPackageError(ImportError):
    """A package that is not installed, with what installs it."""


def require(*packages: str, for_: str = 'whiten_plugins') -> None:
    """See that packages are installed, without importing them.

    Args:
        packages: names as they are imported.
        for_: what needs them, the beginning of the message.

    Raises:
        MissingPackageError: for the first that is missing.
    """
    for name in packages:
        if not _is_installed(name):
            install = _INSTALL.get(name, f'pip install {name}')
            raise MissingPackageError(
                f'{for_} needs {name}, which {sys.executable} does not '
                f'have{_environment()}: {install}',
                name=name,
            )


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None


def _environment() -> str:
    """In a checkout, name the Python that has everything."""
    python = CHECKOUT / '.venv' / 'bin' / 'python'
    if (CHECKOUT / 'pyproject.toml').is_file() and not _same(python):
        return f' (`make env` makes {python}, which has)'
    return ''


def _same(python: Path) -> bool:
    return Path(sys.prefix).resolve() == python.parents[1].resolve()
