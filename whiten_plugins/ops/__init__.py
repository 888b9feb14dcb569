"""The mathematics of the family, as functions of tensors.

Statistics, their mixture, whitening and the affine map, in PyTorch, C++ and
Triton. What rooms above need is here; `README.md` shows what stands where.
"""

from .backends import backend_for, describe_backends
from .backends.torch.mixture import importance_ratios
from .backends.torch.statistics import merge_samples
from .backends.torch.whitening import METHODS, whitening_matrix
from .distributed import Sync
from .evaluation import coefficients, running_coefficients
from .normalize import whitening_norm
from .spec import BATCH_STATS, SAMPLE_STATS, Moments, NormSpec, Running
from .stage import Coefficients, Parameters, StageInputs

__all__ = [
    'BATCH_STATS',
    'METHODS',
    'SAMPLE_STATS',
    'Coefficients',
    'Moments',
    'NormSpec',
    'Parameters',
    'Running',
    'StageInputs',
    'Sync',
    'backend_for',
    'coefficients',
    'describe_backends',
    'importance_ratios',
    'merge_samples',
    'running_coefficients',
    'whitening_matrix',
    'whitening_norm',
]
