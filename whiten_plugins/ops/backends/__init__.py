"""The same mathematics in PyTorch, C++ and Triton, and the choice among them.

Every backend has the same three files: `activations.py` (passes over
activations), `statistics.py` (what becomes of moments between them) and
`transform.py` (from moments to the affine map, and back).
"""

from .backend import Backend, Fused
from .selection import BackendChoice, backend_for, describe_backends

__all__ = [
    'Backend',
    'BackendChoice',
    'Fused',
    'backend_for',
    'describe_backends',
]
