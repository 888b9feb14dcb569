"""Diagnose norms: what each does in a network on its data, and remedies.

:func:`diagnose` measures any PyTorch network, :func:`diagnose_config` that of
a config on its training images, and :func:`write_diagnosis` makes the table,
``diagnosis.json`` and the page.
"""

from .diagnose import diagnose
from .report import diagnose_config, write_diagnosis
from .results import Advice, Diagnosis, NormDiagnosis

__all__ = [
    'Advice',
    'Diagnosis',
    'NormDiagnosis',
    'diagnose',
    'diagnose_config',
    'write_diagnosis',
]
