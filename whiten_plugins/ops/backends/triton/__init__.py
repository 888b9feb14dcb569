"""GPU kernels in Triton (3 or newer) behind the PyTorch path's signatures.

float32, float16 and bfloat16 activations of any strides; all arithmetic is
float32. Work for which there is no kernel is handed to PyTorch: groups of
more than 128 rows here, kinds of whitening in
:func:`~whiten_plugins.ops.backends.triton.transform.supported`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ...running import update_running
from ..selection import Backend
from ..torch import activations
from ..torch.mixture import merge_samples, moments_backward
from . import transform
from .kernels import affine, gradients, moments
from .tuning import MAX_ROWS


def _limited(kernel: Callable, reference: Callable) -> Callable:
    """``kernel``, but ``reference`` for groups of too many rows."""

    @functools.wraps(kernel)
    def function(x, *args):
        chosen = kernel if x.shape[2] <= MAX_ROWS else reference
        return chosen(x, *args)

    return function


BACKEND = Backend(
    moments=_limited(moments.moments, activations.moments),
    merge_samples=merge_samples,
    transform=transform.transform,
    update_running=update_running,
    affine=_limited(affine.affine, activations.affine),
    affine_gradients=_limited(
        gradients.affine_gradients, activations.affine_gradients
    ),
    transform_backward=transform.transform_backward,
    moments_backward=moments_backward,
    input_gradient=_limited(affine.input_gradient, activations.input_gradient),
)
