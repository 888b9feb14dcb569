"""What a trained model needs to leave the lab.

:func:`fold_norms` merges norms into layers, :func:`export_onnx` writes what
other run-times read. ``tools/fold.py`` and ``tools/export_onnx.py`` do so for
a config and a checkpoint.
"""

from . import folded_model  # noqa: F401  registers it
from .fold import FoldReport, fold_norms
from .onnx_export import ExportError, export_onnx

__all__ = ['ExportError', 'FoldReport', 'export_onnx', 'fold_norms']
