"""The model of a config, built or refused in one line."""

from __future__ import annotations

import copy

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from ..placement.errors import PlacementError
from ..placement.norm_types import norm_class
from .errors import ConfigError
from .inheritance import inherited_settings, remedy
from .norm_cfgs import NormSetting, find_norm_cfgs


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config, without loading its weights.

    It is built on the CPU unless under another ``torch.device``.

    Args:
        cfg: the whole config, which is left as it is.

    Raises:
        ConfigError: if it cannot be built, in one line that begins with the
            config key where a ``norm_cfg``, ``whiten_cfg`` or ``whiten_at``
            is to blame.
    """
    if not cfg.get('model'):
        raise ConfigError('the config has no model')
    settings = list(find_norm_cfgs(cfg.model))
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        try:
            for setting in settings:
                norm_class(setting.cfg, setting.path)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        try:
            return _build(cfg.model)
        except Exception as error:  # a config can ask for anything
            raise ConfigError(_explain(error, cfg, settings)) from error


def _build(cfg: dict) -> nn.Module:
    return MODELS.build(copy.deepcopy(cfg))


def _explain(
    error: Exception, cfg: Config, settings: list[NormSetting]
) -> str:
    """Explain an error in one line, with the config key to blame."""
    message = ' '.join(str(error).split())
    for setting in settings:
        if not _fails_with(setting.owner, error):
            continue
        if isinstance(error, PlacementError):
            return f'{setting.owner_path}.{message}'
        plain = {**setting.owner, setting.key: dict(type='BN')}
        if not _fails_with(plain, error):
            hint = _inherited_hint(cfg, setting, message)
            return f'{setting.path}: {message}{hint}'
    return f'the model cannot be built: {type(error).__name__}: {message}'


def _inherited_hint(cfg: Config, setting: NormSetting, message: str) -> str:
    """Say where the cause of an error was set for another norm."""
    found = [
        str(inherited)
        for inherited in inherited_settings(cfg, setting)
        if inherited.key in message
    ]
    return f' ({"; ".join(found)}; {remedy(setting)})' if found else ''


def _fails_with(part: dict, error: Exception) -> bool:
    """Return whether a part of the model fails the same way built alone."""
    try:
        _build(part)
    except Exception as own:
        return repr(own) == repr(error)
    return False
