"""Configs that inherit from a toolkit, whichever distribution provides it.

mmengine looks ``_base_ = 'mmseg::...'`` up by the name of a distribution,
from a table of its own: ``mmsegmentation``. OneDL's fork of it is called
``onedl-mmsegmentation``, which OneDL's mmengine does not know.
:func:`install` corrects the table where it names what is not installed.
"""

from importlib.metadata import (
    PackageNotFoundError,
    distribution,
    packages_distributions,
)
from importlib.util import find_spec

from mmengine.config.utils import MODULE2PACKAGE


def correct_packages(packages: dict[str, str]) -> None:
    """Name the installed distribution of every module that has one.

    Args:
        packages: Distributions by the module that they provide, changed in
            place. One that is installed stays as it is.
    """
    unknown = [
        module
        for module, package in packages.items()
        if not _is_installed(package) and find_spec(module) is not None
    ]
    if unknown:
        installed = packages_distributions()
        for module in unknown:
            # A module on PYTHONPATH alone belongs to no distribution.
            packages[module] = installed.get(module, [packages[module]])[0]


def _is_installed(package: str) -> bool:
    """Do as mmengine's function, which takes 0.1 s for each."""
    try:
        distribution(package)
    except PackageNotFoundError:
        return find_spec(package) is not None
    return True


def install() -> None:
    """Have configs find the toolkits that they inherit from."""
    correct_packages(MODULE2PACKAGE)
