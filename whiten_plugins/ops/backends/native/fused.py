"""A norm's forward and backward, each in one call of the kernels.

The steps are those of :mod:`whiten_plugins.ops.steps` in the same order; what
passes between them stays in C++, where it costs no time of Python's.
"""

from __future__ import annotations

from ctypes import byref
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.nn import Parameter

from ...spec import Running
from ...stage import Parameters
from .library import NormStruct, kernels
from .transform import stage_struct

if TYPE_CHECKING:
    from ...plan import Plan

_PLAIN = (Tensor, Parameter)


def _plain(v: Tensor | None) -> bool:
    """Return whether the kernels can read ``v`` as it lies in memory."""
    return v is None or (
        v.dtype is torch.float32
        and v.is_cpu
        and type(v) in _PLAIN  # FakeTensor has no memory
        and v.is_contiguous()
        and not v.is_neg()
    )


def _address(v: Tensor | None) -> int | None:
    return None if v is None else v.data_ptr()


def fuse(plan: Plan, shape: torch.Size) -> FusedNorm | None:
    """Return the kernels for contiguous inputs of one shape, if they serve."""
    stage = plan.stage
    given = stage.spec.running == 'matrix' and not plan.batch_training
    if stage.spec.whitening != 'itn' and stage.rows > 1 and not given:
        return None
    return FusedNorm(plan, shape)


class FusedNorm:
    r"""One norm on contiguous float32 inputs of one shape.

    Args:
        plan: how the norm serves them.
        shape: theirs, (N, C, \*).
    """

    def __init__(self, plan: Plan, shape: torch.Size) -> None:
        stage, spec = plan.stage, plan.spec
        self.reads_running = spec.uses_batch and not plan.batch_training
        self._state_size = sum(stage.sizes_of_moments(plan.batch_training))
        struct = stage_struct(stage)
        struct.given = self.reads_running and spec.running == 'matrix'
        self._struct = NormStruct(
            samples=shape[0],
            stride=shape[1:].numel(),
            length=shape[1:].numel() // (stage.groups * stage.rows),
            own=stage.uses_samples,
            tracks=plan.batch_training,
            keeps_matrix=spec.running == 'matrix',
            stage=struct,
        )
        self._norm = byref(self._struct)
        self._kernels = kernels()

    def serves(
        self, x: Tensor, parameters: Parameters, running: Running | None
    ) -> bool:
        """Return whether the kernels can read all of this."""
        if running is not None:
            mean, cov, count = running
            if not (_plain(mean) and _plain(cov)):
                return False
            if count is not None and not (
                count.dtype is torch.int64
                and count.is_cpu
                and type(count) is Tensor
            ):
                return False
        return _plain(x) and all(map(_plain, parameters))

    def forward(
        self,
        x: Tensor,
        parameters: Parameters,
        running: Running | None,
        momentum: float | None,
        kept: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the output, and the moments that were taken from ``x``.

        Args:
            x: the input.
            parameters: what the norm learns.
            running: read in evaluation, updated in training.
            momentum: weight of the batch in them.
            kept: receives the batch's covariance or whitening matrix.
        """
        y, state = torch.empty_like(x), x.new_empty(self._state_size)
        mean, cov, count = running or (None, None, None)
        weight, bias, mean_logits, cov_logits = parameters
        self._kernels.normalize(
            self._norm,
            x.data_ptr(),
            y.data_ptr(),
            _address(weight),
            _address(bias),
            _address(mean_logits),
            _address(cov_logits),
            _address(mean),
            _address(cov),
            _address(count),
            -1.0 if momentum is None else momentum,
            state.data_ptr(),
            _address(kept),
            torch.get_num_threads(),
        )
        if running is not None and not self.reads_running:
            for buffer in running:
                if buffer is not None:
                    increment_version(buffer)
        return y, state

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
        if not _plain(grad):
            grad = grad.resolve_neg().contiguous()
        dx = torch.empty_like(x) if wants_input else None
        mean, cov, _ = running or (None, None, None)
        weight, bias, mean_logits, cov_logits = parameters
        found = Parameters(
            *(None if v is None else torch.empty_like(v) for v in parameters)
        )
        d_weight, d_bias, d_mean_logits, d_cov_logits = found
        self._kernels.normalize_backward(
            self._norm,
            grad.data_ptr(),
            x.data_ptr(),
            _address(dx),
            _address(weight),
            _address(bias),
            _address(mean_logits),
            _address(cov_logits),
            _address(mean),
            _address(cov),
            state.data_ptr(),
            _address(d_weight),
            _address(d_bias),
            _address(d_mean_logits),
            _address(d_cov_logits),
            torch.get_num_threads(),
        )
        return dx, found
