"""What a model is: its norms, their cost, order and receptive fields.

The work behind ``tools/print_norms.py``::

    cfg = load_config('configs/sw/...py')
    warnings = check_norms(cfg)          # ConfigError for what cannot work
    rows = list_norms(build_model(cfg), cfg)
"""

from .norm_errors import named_norm_errors
from .norm_table import print_norms
from .norm_warnings import check_norms, pooling_warnings
from .norms import NormInfo, list_norms

__all__ = [
    'NormInfo',
    'check_norms',
    'named_norm_errors',
    'list_norms',
    'pooling_warnings',
    'print_norms',
]
