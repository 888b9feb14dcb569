"""A norm's forward and backward, in at most four launches each.

Forward: parts of moments; moments of samples and batch; their mixture,
whitening and the running statistics; the affine map. Backward: sums of its
gradients; the mixture and whitening back; sums over samples; the input's
gradient. No operator of torch computes anything between them, but where
momentum is None or the buffers are not float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ...layout import affine_view, dense, statistics_view
from ...spec import Moments, NormSpec, Running
from ...stage import Coefficients, Parameters, Stage, StageInputs
from ..torch import BACKEND as PYTORCH
from . import activations, transform
from .activations import Reduction, parts_of_gradients, parts_of_moments
from .statistics import merge_parts, update_running
from .transform import Chunks, Tracking

if TYPE_CHECKING:
    from ...plan import Plan


def _entries(x: Tensor, spec: NormSpec) -> tuple[Tensor, int]:
    """View (N, C, *) as entries of which statistics are taken.

    Returns:
        (N, E, c, M) and the number of entries in a group: where elements of
        a group do not lie in a row, each channel slot is an entry.
    """
    if not spec.across_groups or x.is_contiguous():
        return statistics_view(x, spec), 1
    entries = affine_view(x, spec)
    return entries, entries.shape[1]


def take_moments(
    x: Tensor,
    spec: NormSpec,
    sample: Moments | None,
    batch: Moments | None,
    counted: Tensor | None,
) -> None:
    """Set the moments of samples, of the batch, or both.

    Args:
        x: the input, dense.
        spec: the norm.
        sample: written, if given.
        batch: likewise.
        counted: becomes 0.
    """
    entries, slots = _entries(x, spec)
    cut = Reduction(entries, shared=sample is None and slots == 1)
    if cut.num_chunks == slots == 1 and batch is None:
        parts_of_moments(cut, sample)
        return
    parts = parts_of_moments(cut)
    merge_parts(parts, cut.parts(slots), sample, batch, counted)


def _take_moments(
    x: Tensor,
    spec: NormSpec,
    sample: Moments | None,
    batch: Moments | None,
    counted: Tensor | None,
) -> None:
    """Do as :func:`take_moments`, in PyTorch."""
    rows = statistics_view(x, spec)
    found = PYTORCH.moments(rows, sample is None)
    for moments in (sample, batch):
        if moments is not None:
            if sample is not None and moments is batch:
                found = PYTORCH.merge_samples(found)
            moments.mean.copy_(found.mean)
            moments.cov.copy_(found.cov)
    if counted is not None:
        counted.zero_()


def _coefficients(
    stage: Stage, inputs: StageInputs, tracking: Tracking | None
) -> Coefficients:
    """Do as :func:`.transform.launch_forward`, in PyTorch."""
    found = PYTORCH.transform(stage, inputs)
    if tracking is not None:
        assert inputs.batch is not None  # what is tracked
        mean, cov = inputs.batch
        kept = found.W if stage.spec.running == 'matrix' else cov
        PYTORCH.update_running(
            tracking.running, Moments(mean, kept), tracking.momentum
        )
    return found


Through = tuple[Tensor, Tensor | None, Tensor | None, Parameters]
"""A, B and d of dx = A^T g + B x + d, and the parameters' gradients."""


def coefficient_gradients(
    stage: Stage,
    inputs: StageInputs,
    grad: Tensor,
    x: Tensor,
    from_batch: bool,
) -> Through:
    """Return what the gradient of the input needs, and the parameters'.

    Args:
        stage: the stage.
        inputs: as in the forward.
        grad: of the output, (N, E, c, M).
        x: the input, likewise.
        from_batch: the moments of the batch are those of ``x``.
    """
    cut = Reduction(x, shared=stage.samples != len(x))
    parts, sizes = parts_of_gradients(cut, grad)
    dA, db = parts.split(sizes, 1)
    shape = (cut.samples, cut.entries, cut.rows)
    found = transform.launch_backward(
        stage,
        inputs,
        dA[0].view(*shape, cut.rows),
        db[0].view(shape),
        Chunks(cut.num_chunks, sum(sizes)),
    )
    if not from_batch:
        inputs = inputs._replace(batch=None)
    B, d, gradients = transform.launch_combine(
        stage, inputs, found, _counts(stage, x)
    )
    if inputs.sample or inputs.batch:
        return found.A, B, d, gradients
    return found.A, None, None, gradients


def _counts(stage: Stage, x: Tensor) -> tuple[int, int]:
    """Return the elements behind a row of a sample, and of the batch."""
    size = x.shape[1] * x.shape[3] // stage.groups
    return size, len(x) * size


def _coefficient_gradients(
    stage: Stage,
    inputs: StageInputs,
    grad: Tensor,
    x: Tensor,
    from_batch: bool,
) -> Through:
    """Do as :func:`coefficient_gradients`, in PyTorch."""
    dA, db = PYTORCH.affine_gradients(grad, x, stage.samples != len(x))
    A, gradients = PYTORCH.transform_backward(stage, inputs, dA, db)
    B = d = None
    pairs = list(zip(inputs[:2], gradients[:2], _counts(stage, x)))
    for moments, gradient, count in pairs[: 2 if from_batch else 1]:
        if moments is not None:
            slope, shift = PYTORCH.moments_backward(moments, gradient, count)
            B, d = (slope, shift) if B is None else (B + slope, d + shift)
    return A, B, d, gradients.parameters


class Steps(NamedTuple):
    """The steps of a forward and of a backward, in order."""

    take_moments: Callable
    coefficients: Callable
    affine: Callable
    coefficient_gradients: Callable
    input_gradient: Callable


KERNELS = Steps(
    take_moments,
    transform.launch_forward,
    activations.affine,
    coefficient_gradients,
    activations.input_gradient,
)
IN_PYTORCH = Steps(
    _take_moments,
    _coefficients,
    PYTORCH.affine,
    _coefficient_gradients,
    PYTORCH.input_gradient,
)


def fuse(steps: Steps, plan: Plan, shape: torch.Size) -> FusedNorm | None:
    """Return the kernels for a norm, if they serve.

    Args:
        steps: what launches them.
        plan: how the norm serves its inputs.
        shape: theirs.
    """
    stage, spec = plan.stage, plan.spec
    given = spec.uses_batch and not plan.batch_training
    if not transform.serves(stage) or (given and spec.running == 'matrix'):
        return None
    # Without weight and bias the slots of a row have one A and many dA.
    channels = stage.groups * stage.rows * stage.slots
    if channels != shape[1] or 0 in shape:
        return None
    return FusedNorm(steps, plan)


class FusedNorm:
    """One norm on inputs of one shape.

    Args:
        steps: what launches the kernels.
        plan: how the norm serves the inputs.
    """

    def __init__(self, steps: Steps, plan: Plan) -> None:
        self.steps, self.stage, self.spec = steps, plan.stage, plan.spec
        self.reads_running = plan.spec.uses_batch and not plan.batch_training
        self.tracks = plan.batch_training

    def serves(
        self, x: Tensor, parameters: Parameters, running: Running | None
    ) -> bool:
        """Return whether the kernels can read all of this."""
        return x.dtype != torch.float64

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
        x = dense(x)
        state = torch.empty(
            sum(self.stage.sizes_of_moments(self.tracks)),
            dtype=torch.float32,
            device=x.device,
        )
        sample, batch = self.stage.split_moments(state, self.tracks)
        tracking = None
        if self.tracks and running is not None and _in_kernel(running):
            if momentum is not None:
                counted = torch.empty((), dtype=torch.int32, device=x.device)
                tracking = Tracking(running, momentum, counted)
        if state.numel():
            self.steps.take_moments(
                *(x, self.spec, sample, batch),
                tracking.counted if tracking else None,
            )
        inputs = self._inputs(sample, batch, parameters, running)
        A, b, W = self.steps.coefficients(self.stage, inputs, tracking)
        if self.tracks:
            assert batch is not None  # it was just taken
            new = W if self.spec.running == 'matrix' else batch.cov
            if tracking:
                for buffer in filter(torch.is_tensor, tracking.running):
                    increment_version(buffer)
            elif running is not None:
                update_running(running, Moments(batch.mean, new), momentum)
            if kept is not None:
                kept.copy_(new[:1])
        y = torch.empty_like(x)
        self.steps.affine(
            affine_view(x, self.spec), A, b, affine_view(y, self.spec)
        )
        return y, state

    def _inputs(
        self,
        sample: Moments | None,
        batch: Moments | None,
        parameters: Parameters,
        running: Running | None,
    ) -> StageInputs:
        if self.reads_running:
            assert running is not None  # with batch statistics it is there
            batch = running.moments(self.stage.rows, torch.float32)
        return StageInputs(sample, batch, parameters)

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
        x = dense(x)
        sample, batch = self.stage.split_moments(state, self.tracks)
        inputs = self._inputs(sample, batch, parameters, running)
        rows_of_x = affine_view(x, self.spec)
        rows_of_grad = affine_view(dense(grad), self.spec)
        A, B, d, gradients = self.steps.coefficient_gradients(
            self.stage, inputs, rows_of_grad, rows_of_x, self.tracks
        )
        dx = None
        if wants_input:
            dx = torch.empty_like(x)
            rows_of_dx = affine_view(dx, self.spec)
            self.steps.input_gradient(
                rows_of_grad, rows_of_x, A, B, d, rows_of_dx
            )
        return dx, gradients


def _in_kernel(running: Running) -> bool:
    """Return whether the kernel can update these buffers."""
    mean, cov, count = running
    buffers = all(
        v.dtype == torch.float32 and v.is_contiguous() for v in (mean, cov)
    )
    return buffers and (count is None or count.is_contiguous())
