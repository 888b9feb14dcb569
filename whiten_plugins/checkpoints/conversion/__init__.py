"""Convert ImageNet ResNet checkpoints to and from a config's backbone.

The sources are in the layouts in which they were published.

:func:`convert_checkpoint` is the whole way, the work behind
``tools/convert_checkpoint.py``.
"""

from .convert import convert_checkpoint
from .errors import ConversionError
from .fetching import SOURCES
from .initial_ratios import INIT_RATIOS
from .keras import KERAS
from .layouts import LAYOUTS, OURS

__all__ = [
    'INIT_RATIOS',
    'KERAS',
    'LAYOUTS',
    'OURS',
    'SOURCES',
    'ConversionError',
    'convert_checkpoint',
]
