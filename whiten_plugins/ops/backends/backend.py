"""What a backend is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Backend(NamedTuple):
    """The functions of a backend, in the order of a training step.

    They are the passes over activations, and what is done with the small
    tensors between them.

    Arguments and results are those of the functions in :mod:`.torch`.
    """

    name: str
    moments: Callable
    merge_samples: Callable
    transform: Callable
    update_running: Callable
    affine: Callable
    affine_gradients: Callable
    transform_backward: Callable
    moments_backward: Callable
    input_gradient: Callable


class KernelError(RuntimeError):
    """A kernel cannot be compiled or launched; the message says why.

    It also names the kernel.
    """
