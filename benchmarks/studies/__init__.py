"""Studies: the papers' claims, measured by trainings that anyone can repeat.

A study is a table of cells, each a config with options; a cell is trained
once a seed, and every training leaves one JSON file. The pages of ``docs/``
are drawn from these files alone.
"""

from benchmarks.studies.definitions import STUDIES
from benchmarks.studies.run import run_study
from benchmarks.studies.study import Cell, Study

__all__ = ['STUDIES', 'Cell', 'Study', 'run_study']
