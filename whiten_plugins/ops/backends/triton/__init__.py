"""GPU kernels in Triton (3 or newer).

float32, float16 and bfloat16 activations of any strides; all arithmetic is
float32. Work for which there is no kernel is handed to PyTorch: groups of
more than 128 rows (:mod:`.activations`), kinds of whitening
(:func:`.transform.serves`).
"""

from ..backend import Backend
from . import activations, statistics, transform

BACKEND = Backend(
    name='triton',
    moments=activations.moments,
    merge_samples=statistics.merge_samples,
    transform=transform.transform,
    update_running=statistics.update_running,
    affine=activations.affine,
    affine_gradients=activations.affine_gradients,
    transform_backward=transform.transform_backward,
    moments_backward=statistics.moments_backward,
    input_gradient=activations.input_gradient,
)
