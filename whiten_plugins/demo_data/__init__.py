"""Small data sets of real pixels: digits made in seconds, and real pictures
that packages ship.
"""

from .digits import CLASSES
from .make import FORMATS, SOURCES, make_mini_dataset

__all__ = ['CLASSES', 'FORMATS', 'SOURCES', 'make_mini_dataset']
