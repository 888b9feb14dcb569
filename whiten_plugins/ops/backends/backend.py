"""What a backend is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..plan import Plan
    from ..spec import Running
    from ..stage import Parameters


class Fused(Protocol):
    """Forward and backward of one norm on inputs of one shape.

    Each is one call of the backend instead of one a step. It is made once
    for many calls (:mod:`~whiten_plugins.ops.plan`), so that what follows
    from the shape alone is found once.
    """

    @property
    def reads_running(self) -> bool:
        """Whether the running statistics stand for those of the batch."""

    def serves(
        self, x: Tensor, parameters: Parameters, running: Running | None
    ) -> bool:
        """Return whether these tensors can be read; else the steps are."""

    def forward(
        self,
        x: Tensor,
        parameters: Parameters,
        running: Running | None,
        momentum: float | None,
        kept: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the output, and the moments that were taken from ``x``.

        The latter in one float32 tensor: means (N, G, c) and covariances
        (N, G, c, c) of the samples, where a statistic is theirs, then those
        of the batch, in training.

        Args:
            x: the input.
            parameters: what the norm learns.
            running: read in evaluation, updated in training.
            momentum: weight of the batch in them.
            kept: receives the batch's covariance or whitening matrix.
        """

    def backward(
        self,
        grad: Tensor,
        x: Tensor,
        parameters: Parameters,
        running: Running | None,
        state: Tensor,
        wants_input: bool,
    ) -> tuple[Tensor | None, Parameters]:
        """Return the gradients of the input, if wanted, and parameters."""


class Backend(NamedTuple):
    """The functions of a backend, in the order of a training step.

    They are the passes over activations, and what is done with the small
    tensors between them.

    Arguments and results are those of the functions in :mod:`.torch`.
    ``fuse``, where a backend has it, takes a plan and the shape of an input
    and returns all steps as one :class:`Fused`, or None.
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
    fuse: Callable[[Plan, torch.Size], Fused | None] | None = None


class KernelError(RuntimeError):
    """A kernel cannot be compiled or launched; the message says why.

    It also names the kernel.
    """
