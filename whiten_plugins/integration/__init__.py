"""What importing this package changes elsewhere."""

from . import labels, norm_eval, optimizer, registries, safe_globals

__all__ = ['labels', 'norm_eval', 'optimizer', 'registries', 'safe_globals']
