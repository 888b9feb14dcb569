"""CPU kernels in C++ behind the PyTorch path's signatures.

Plain C++ with OpenMP, compiled for the processor at first use (see
:mod:`.build`) and called through ctypes, so that it depends on no version of
torch. It takes float32 activations whose rows are contiguous; what comes in
another memory format or precision is PyTorch's.
"""

from ..backend import Backend
from . import between, passes, stage

BACKEND = Backend(
    moments=passes.moments,
    merge_samples=between.merge_samples,
    transform=stage.transform,
    update_running=between.update_running,
    affine=passes.affine,
    affine_gradients=passes.affine_gradients,
    transform_backward=stage.transform_backward,
    moments_backward=between.moments_backward,
    input_gradient=passes.input_gradient,
)
