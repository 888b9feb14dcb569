"""Learned normalization and whitening for MMDetection and MMSegmentation.

Importing this package registers every norm and tool in mmengine's root
registries, so that ``norm_cfg=dict(type='SW')`` works in any config.
"""

from . import (
    backbones,
    calibration,
    deploy,
    norm_eval,
    norms,
    optim,
    placement,
    ratios,
    safe_globals,
)

__version__ = '0.1.0'
__all__ = [
    'backbones',
    'calibration',
    'deploy',
    'norm_eval',
    'norms',
    'optim',
    'placement',
    'ratios',
    'safe_globals',
]
