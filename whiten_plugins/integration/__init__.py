"""What importing this package changes elsewhere."""

from . import norm_eval, optimizer, registries, safe_globals

__all__ = ['norm_eval', 'optimizer', 'registries', 'safe_globals']
