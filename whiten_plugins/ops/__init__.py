"""Pure tensor functions: statistics, mixing, whitening, the affine map."""

from .mixing import importance_ratios
from .normalize import Sync, normalize
from .running import Running
from .spec import Moments, NormSpec
from .transform import Parameters
from .whitening import METHODS

__all__ = [
    'METHODS',
    'Moments',
    'NormSpec',
    'Parameters',
    'Running',
    'Sync',
    'importance_ratios',
    'normalize',
]
