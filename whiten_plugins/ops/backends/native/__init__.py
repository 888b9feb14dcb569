"""CPU kernels in C++.

Plain C++ with OpenMP, compiled for the processor at first use (see
:mod:`.build`) and called through ctypes, so that it depends on no version of
torch. It takes float32 activations whose rows are contiguous; what comes in
another memory format or precision is PyTorch's.
"""

from ..backend import Backend
from . import activations, statistics, transform
from .fused import fuse

BACKEND = Backend(
    name='native',
    moments=activations.moments,
    merge_samples=statistics.merge_samples,
    transform=transform.transform,
    update_running=statistics.update_running,
    affine=activations.affine,
    affine_gradients=activations.affine_gradients,
    transform_backward=transform.transform_backward,
    moments_backward=statistics.moments_backward,
    input_gradient=activations.input_gradient,
    fuse=fuse,
)
