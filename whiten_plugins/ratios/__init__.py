"""Ratios: which statistics every layer chose.

`read_run` turns a checkpoint or a work directory into numbers, `summary`
groups and compares them, `seeds` takes their spread over runs. `charts` says
what to draw; `page`, `table` and `files` write it, and `report` does all of
it for `tools/ratios.py`.
"""

from .hook import RatioHook
from .layers import LayerRatios
from .runs import Run, Snapshot, read_run

__all__ = [
    'LayerRatios',
    'RatioHook',
    'Run',
    'Snapshot',
    'read_run',
]
