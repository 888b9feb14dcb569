"""Learned normalization and whitening for MMDetection and MMSegmentation.

Importing this package registers every norm and tool in mmengine's root
registries, so that ``norm_cfg=dict(type='SW')`` works in any config.
"""

from . import calibration, deploy, integration, norms, placement, ratios

__version__ = '0.2.0'
__all__ = [
    'calibration',
    'deploy',
    'integration',
    'norms',
    'placement',
    'ratios',
]
