"""Ratios: which statistics every SN and SW layer chose.

`read_run` turns a checkpoint or a work directory into numbers, `summary`
groups and compares them, and `forward` finds the order and the receptive
fields of the layers in the network itself. `charts` says what to draw, once
for matplotlib and plotly; `html`, `table` and `files` write it, and `report`
does all of it for `tools/ratios.py`.
"""

from ..checkpoints.layer_ratios import LayerRatios
from .hook import RatioHook
from .runs import Run, Snapshot, read_run

__all__ = [
    'LayerRatios',
    'RatioHook',
    'Run',
    'Snapshot',
    'read_run',
]
