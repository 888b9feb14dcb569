"""Ratios: which statistics every SN and SW layer chose.

`read_run` turns a checkpoint or a work directory into numbers, `summary`
groups and compares them, and `forward` finds the order and the receptive
fields of the layers in the network itself. `charts` says what to draw, once
for matplotlib and plotly; `html`, `table` and `files` write it, and `report`
does all of it for `tools/ratios.py`.
"""

from .checkpoint import CheckpointError, load_checkpoint
from .hook import RatioHook
from .layers import LayerRatios
from .runs import Run, Snapshot, read_run

__all__ = [
    'CheckpointError',
    'LayerRatios',
    'RatioHook',
    'Run',
    'Snapshot',
    'load_checkpoint',
    'read_run',
]
