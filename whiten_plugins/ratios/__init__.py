"""Ratios: which statistics every SN and SW layer of a checkpoint chose.

`read_ratios` turns a checkpoint into numbers; `table`, `files` and `figure`
show them, and `report` does all of it for `tools/ratios.py`.
"""

from .checkpoint import CheckpointError, load_checkpoint
from .layers import CheckpointRatios, LayerRatios, read_ratios

__all__ = [
    'CheckpointError',
    'CheckpointRatios',
    'LayerRatios',
    'load_checkpoint',
    'read_ratios',
]
