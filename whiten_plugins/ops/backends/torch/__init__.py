"""The reference in PyTorch: any device, dtype and memory format."""

from ..backend import Backend
from . import activations, statistics, transform

BACKEND = Backend(
    name='torch',
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
