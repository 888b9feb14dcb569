"""GPU kernels in Triton (3.3 or newer).

float32, float16 and bfloat16 activations of any strides; all arithmetic is
float32. Work for which there is no kernel is handed to PyTorch: groups of
more than 128 rows (:mod:`.activations`), kinds of whitening
(:func:`.transform.serves`). So is the work of a kernel that cannot be
compiled (:mod:`.fallback`).
"""

import functools

from ..backend import Backend
from . import activations, fused, statistics, transform
from .fallback import or_pytorch

_GUARDED = fused.Steps(*map(or_pytorch, fused.KERNELS, fused.IN_PYTORCH))

BACKEND = Backend(
    name='triton',
    moments=or_pytorch(activations.moments),
    merge_samples=or_pytorch(statistics.merge_samples),
    transform=or_pytorch(transform.transform),
    update_running=statistics.update_running,
    affine=or_pytorch(activations.affine),
    affine_gradients=or_pytorch(activations.affine_gradients),
    transform_backward=or_pytorch(transform.transform_backward),
    moments_backward=statistics.moments_backward,
    input_gradient=or_pytorch(activations.input_gradient),
    fuse=functools.partial(fused.fuse, _GUARDED),
)

KERNELS = BACKEND._replace(
    moments=activations.moments,
    merge_samples=statistics.merge_samples,
    transform=transform.transform,
    affine=activations.affine,
    affine_gradients=activations.affine_gradients,
    transform_backward=transform.transform_backward,
    input_gradient=activations.input_gradient,
    fuse=functools.partial(fused.fuse, fused.KERNELS),
)
"""The same, but what a kernel raises comes through."""
