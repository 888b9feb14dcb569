"""Which norms of a network become SW, GW …: presets, patterns, backbones."""

from .errors import PlacementError
from .networks import NETWORKS
from .patterns import match_norms
from .presets import PRESETS
from .replacement import place_norms

__all__ = [
    'NETWORKS',
    'PRESETS',
    'PlacementError',
    'match_norms',
    'place_norms',
]
