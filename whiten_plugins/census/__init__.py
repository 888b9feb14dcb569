"""Every norm of a model in a table, and the mistakes of its config.

The work behind ``tools/print_norms.py``::

    cfg = load_config('configs/sw/...py')
    warnings = check_norms(cfg)          # ConfigError for what cannot work
    rows = norm_census(build_model(cfg), cfg)
"""

from .checks import build_model, check_norms, pooling_warnings
from .failures import named_norm_errors
from .rows import NormRow, norm_census
from .table import print_census

__all__ = [
    'NormRow',
    'build_model',
    'check_norms',
    'named_norm_errors',
    'norm_census',
    'pooling_warnings',
    'print_census',
]
