"""``_base_ = 'whiten_plugins::sw/mask-rcnn_r50_fpn_sw-all_1x_coco.py'``.

mmengine finds the configs of the packages in a table of its own. This adds
this package, installed or not. Its configs do not give a
scope to what they define, other than those of the toolkits: there are no
registries of that name.
"""

from functools import cache
from pathlib import Path

from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parents[1]
PREFIX = f'{PACKAGE.name}::'


def configs_folder() -> Path:
    """Return the configs' folder, in the wheel or beside the package."""
    installed = PACKAGE / '.mim' / 'configs'
    return installed if installed.is_dir() else PACKAGE.parent / 'configs'


def find_config(name: str) -> Path:
    """Return the file of a config.

    Args:
        name: ``whiten_plugins::`` and its path in the folder of the configs.

    Raises:
        FileNotFoundError: if there is none of that name.
    """
    file = configs_folder() / name.removeprefix(PREFIX)
    if not file.is_file():
        raise FileNotFoundError(f'{name}: there is no {file}')
    return file


def install() -> None:
    """Let mmengine's configs inherit from those of this package."""
    find_other = Config._get_cfg_path

    # mmengine reads every metafile of a package, a second's work, to find one
    # config of it.
    @cache
    def find_external(cfg_path: str) -> tuple[str, str | None]:
        return find_other(cfg_path, '')

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(PREFIX):
            return str(find_config(cfg_path)), None
        if '::' in cfg_path:
            return find_external(cfg_path)
        return find_other(cfg_path, filename)

    Config._get_cfg_path = staticmethod(get_cfg_path)
