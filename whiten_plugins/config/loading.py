"""Reading a config and applying a command line to it."""

import inspect
import logging
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.logging import print_log
from mmengine.runner import Runner

from .. import integration  # noqa: F401  _base_ of a fork's configs
from ..placement.norm_types import norm_class
from .errors import ConfigError
from .norm_cfgs import find_norm_cfgs

# Top-level keys with an effect: Runner's arguments, and what it and the tools
# look up by name. Any other is a variable that the config file has used up.
_EFFECTIVE_KEYS = {
    *inspect.signature(Runner).parameters,
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'norm_cfg',
    'runner_type',
    'sync_bn',
    'test_sets',
    'tta_model',
    'tta_pipeline',
}


def load_config(
    path: str | Path,
    options: dict[str, Any] | None = None,
    work_dir: str | Path | None = None,
) -> Config:
    """Read a config file as mmdet's and mmseg's tools do.

    One thing goes further than they do. A config gives the variable
    ``norm_cfg`` to backbone, neck and heads, which are copies once the file
    is read: mmengine would accept ``norm_cfg.type=SN`` and change nothing.
    Here an override of ``norm_cfg`` replaces every ``norm_cfg`` in ``model``
    that equals the file's top-level one; others, such as a frozen
    backbone's, stay.

    Args:
        path: Config file, or ``whiten_plugins::sw/NAME.py`` and the like,
            one that comes with an installed package.
        options: Dotted keys and their values, from ``--cfg-options``.
        work_dir: Folder for logs and checkpoints. Default: the config's
            ``work_dir``, else ``./work_dirs/CONFIG_NAME``.

    Returns:
        The config, its ``work_dir`` set.

    Raises:
        ConfigError: If the file cannot be read or an option cannot take
            effect.
    """
    file = _find(path)
    try:
        cfg = Config.fromfile(file)
        # The classes of a config in the pure-Python style are imported when
        # somebody looks at them: now, where the message names the file.
        _import_classes(cfg._cfg_dict)
    except Exception as error:  # a config runs as code: anything may come
        raise ConfigError(f'{path}: {_one_line(error)}') from error
    if options:
        _override(cfg, options)
    if work_dir is not None:
        cfg.work_dir = str(work_dir)
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / file.stem)
    return cfg


def _find(path: str | Path) -> Path:
    file = Path(path)
    if '::' in str(path):
        try:
            file = Path(Config._get_cfg_path(str(path), '')[0])
        # Of mmengine, for packages it does not know or find.
        except (AssertionError, OSError, ImportError, ValueError) as error:
            raise ConfigError(f'{path}: {error}') from error
    if not file.is_file():
        raise ConfigError(f'no such config file: {path}')
    return file


def _import_classes(value: Any) -> None:
    if isinstance(value, (LazyObject, LazyAttr)):
        value.build()
    elif isinstance(value, dict):
        # Of dict: those of ConfigDict import them, or leave a string.
        for item in dict.values(value):
            _import_classes(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _import_classes(item)


def _override(cfg: Config, options: dict[str, Any]) -> None:
    before = _norm_settings(cfg)
    try:
        cfg.merge_from_dict(options)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise ConfigError(f'--cfg-options: {_one_line(error)}') from error
    changed = {key.split('.')[0] for key in options}
    if 'norm_cfg' in changed:
        _spread_norm_cfg(cfg, before)
    for key in sorted(changed - _EFFECTIVE_KEYS):
        print_log(
            f'--cfg-options {key}: nothing reads this key any more; override '
            'the settings that the config file makes from it',
            logger='current',
            level=logging.WARNING,
        )


def _spread_norm_cfg(cfg: Config, before: dict | None) -> None:
    """Replace the copies of the top-level ``norm_cfg`` in the model."""
    if before is None:
        raise ConfigError(
            'norm_cfg cannot be overridden: the config has no top-level '
            'norm_cfg; name the place, as in model.backbone.norm_cfg.type'
        )
    after = _norm_settings(cfg)
    if after is None or 'type' not in after:
        raise ConfigError(
            f'norm_cfg must stay a dict with a type, got {cfg.norm_cfg!r}'
        )
    _check_norm_type(after)
    places = [
        setting
        for setting in find_norm_cfgs(cfg.model)
        if setting.key != 'whiten_cfg'
        and _without_defaults(setting.cfg) == before
    ]
    if not places:
        raise ConfigError(
            'norm_cfg cannot be overridden: nothing in model uses the '
            f'top-level norm_cfg {before}'
        )
    for place in places:
        place.owner[place.key] = dict(after)
    names = ', '.join(place.path for place in places)
    print_log(f'norm_cfg={after} in {names}', logger='current')


def _norm_settings(cfg: Config) -> dict | None:
    norm_cfg = cfg.get('norm_cfg')
    return _without_defaults(norm_cfg) if isinstance(norm_cfg, dict) else None


def _without_defaults(norm_cfg: Any) -> Any:
    """Drop what inheriting adds without changing the norm."""
    if not isinstance(norm_cfg, dict):
        return norm_cfg
    return {
        key: value
        for key, value in norm_cfg.items()
        if key != '_scope_' and (key, value) != ('requires_grad', True)
    }


def _check_norm_type(norm_cfg: dict) -> None:
    import mmcv.cnn  # noqa: F401  registers BN, GN, LN, IN, SyncBN

    try:
        norm_class(norm_cfg)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _one_line(error: Exception) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())}'
