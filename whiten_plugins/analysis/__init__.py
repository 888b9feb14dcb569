"""What a model is: its norms, their cost, order and receptive fields.

The work behind ``tools/print_norms.py``::

    cfg = load_config('configs/sw/...py')
    warnings = check_norms(cfg)          # ConfigError for what cannot work
    rows = list_norms(build_model(cfg), cfg)
"""

from .norm_errors import named_norm_errors
from .norm_table import print_norms
from .norm_warnings import check_norms, log_once, norm_warnings
from .norms import NormInfo, list_norms
from .pooled_maps import pooling_warnings

__all__ = [
    'NormInfo',
    'check_norms',
    'list_norms',
    'log_once',
    'named_norm_errors',
    'norm_warnings',
    'pooling_warnings',
    'print_norms',
]
