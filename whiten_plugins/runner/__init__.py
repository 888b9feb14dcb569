"""Training and testing of detection and segmentation configs alike.

The work behind ``tools/train.py`` and ``tools/test.py``: what mmdet's and
mmseg's own scripts do, and what those leave out: runs without a GPU, and a
``norm_cfg`` that a command line can override.
"""

from .amp import CPUAmpOptimWrapper
from .launch import build_runner
from .options import enable_amp, enable_auto_scale_lr, set_resume
from .testing import enable_tta, enable_visualization, save_predictions

__all__ = [
    'CPUAmpOptimWrapper',
    'build_runner',
    'enable_amp',
    'enable_auto_scale_lr',
    'enable_tta',
    'enable_visualization',
    'save_predictions',
    'set_resume',
]
