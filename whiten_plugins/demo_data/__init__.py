"""The mini data set: handwritten digits on photographs, made in seconds."""

from .coco import CLASSES
from .make import FORMATS, make_mini_dataset

__all__ = ['CLASSES', 'FORMATS', 'make_mini_dataset']
