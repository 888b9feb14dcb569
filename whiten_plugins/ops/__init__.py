"""Pure tensor functions: statistics, mixing, whitening, the affine map."""

from .backends.torch.mixture import importance_ratios
from .backends.torch.transform import Parameters
from .backends.torch.whitening import METHODS
from .normalize import Sync, normalize
from .running import Running
from .spec import Moments, NormSpec

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
