"""Measure what each norm does on its data: `whiten diagnose`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from checkout import run

if __name__ == '__main__':
    run('diagnose')
