"""Batch average: exact running statistics for a network that is trained.

`batch_average` is the computation, `sample_loader` chooses the training
images, `BatchAverageHook` does it at the end of a training, and `checkpoint`
for `tools/calibrate.py`.
"""

from .average import BatchAverage, batch_average
from .data import sample_loader
from .hook import BatchAverageHook

__all__ = [
    'BatchAverage',
    'BatchAverageHook',
    'batch_average',
    'sample_loader',
]
