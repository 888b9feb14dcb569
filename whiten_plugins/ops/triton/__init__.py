"""GPU kernels in Triton (3 or newer) behind the PyTorch path's signatures.

float32, float16 and bfloat16 activations of any strides; all arithmetic is
float32. Work for which there is no kernel is handed to PyTorch: groups of
more than 128 rows here, kinds of whitening in
:func:`~whiten_plugins.ops.triton.stage.supported`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from .. import blocks
from ..backend import Backend
from ..mixing import merge_samples, moments_backward
from ..running import update_running
from . import gradients, linear, stage, statistics
from .tuning import MAX_ROWS


def _limited(kernel: Callable, reference: Callable) -> Callable:
    """``kernel``, but ``reference`` for groups of too many rows."""

    @functools.wraps(kernel)
    def function(x, *args):
        chosen = kernel if x.shape[2] <= MAX_ROWS else reference
        return chosen(x, *args)

    return function


BACKEND = Backend(
    moments=_limited(statistics.moments, blocks.moments),
    merge_samples=merge_samples,
    transform=stage.transform,
    update_running=update_running,
    affine=_limited(linear.affine, blocks.affine),
    affine_gradients=_limited(
        gradients.affine_gradients, blocks.affine_gradients
    ),
    transform_backward=stage.transform_backward,
    moments_backward=moments_backward,
    input_gradient=_limited(linear.input_gradient, blocks.input_gradient),
)
