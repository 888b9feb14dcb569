"""Configs: reading, their ``norm_cfg`` dicts, the models they build."""

from .building import build_model
from .errors import ConfigError
from .loading import load_config

__all__ = ['ConfigError', 'build_model', 'load_config']
