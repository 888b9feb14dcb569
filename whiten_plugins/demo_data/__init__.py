"""Small data sets of real pixels.

Digits are made in seconds; real pictures are those that packages ship.
"""

from .digits import CLASSES
from .make import FORMATS, SOURCES, make_mini_dataset

__all__ = ['CLASSES', 'FORMATS', 'SOURCES', 'make_mini_dataset']
