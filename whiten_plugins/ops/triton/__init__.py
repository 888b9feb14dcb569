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
    affine=_limited(linear.affine, blocks.affine),
    affine_gradients=_limited(
        gradients.affine_gradients, blocks.affine_gradients
    ),
    input_gradient=_limited(linear.input_gradient, blocks.input_gradient),
    transform=stage.transform,
    transform_backward=stage.transform_backward,
)
