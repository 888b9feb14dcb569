"""Which code does the work: PyTorch or Triton kernels.

The environment variable ``WHITEN_PLUGINS_BACKEND`` forces ``torch`` or
``triton``; unset or ``auto``, Triton serves tensors on a GPU where it is
installed, PyTorch everything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from . import blocks, transform

VARIABLE = 'WHITEN_PLUGINS_BACKEND'
CHOICES = ('auto', 'torch', 'triton')


class Backend(NamedTuple):
    """The passes over activations and the small-matrix stage between."""

    moments: Callable
    affine: Callable
    affine_gradients: Callable
    input_gradient: Callable
    transform: Callable
    transform_backward: Callable


PYTORCH = Backend(
    blocks.moments,
    blocks.affine,
    blocks.affine_gradients,
    blocks.input_gradient,
    transform.transform,
    transform.transform_backward,
)


def backend_for(x: Tensor) -> Backend:
    """The backend that serves ``x``.

    Raises:
        ValueError: if the environment variable holds no known choice.
    """
    choice = os.environ.get(VARIABLE, 'auto')
    if choice not in CHOICES:
        raise ValueError(
            f'{VARIABLE} must be one of {", ".join(CHOICES)}; got {choice!r}'
        )
    return PYTORCH
