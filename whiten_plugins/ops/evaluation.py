"""Evaluation: batch statistics are the running ones."""

from __future__ import annotations

import torch

from .backends.backend import Backend
from .backends.torch import BACKEND as PYTORCH
from .backends.torch.folding import fold_running, fold_running_backward
from .spec import NormSpec, Running
from .stage import Coefficients, Parameters, Stage, StageInputs


def evaluating(backend: Backend, spec: NormSpec) -> Backend:
    """Adapt ``backend`` to batch statistics that are the running ones.

    A running whitening matrix has nothing left to mix or to whiten: weight
    and bias alone are folded in, whatever the backend.
    """
    if spec.running != 'matrix':
        return backend
    return backend._replace(
        transform=fold_running, transform_backward=fold_running_backward
    )


def coefficients(
    spec: NormSpec,
    stats: tuple[str, ...],
    inputs: StageInputs,
    running: bool = False,
) -> Coefficients:
    """Return the affine map that follows from moments, in their dtype.

    Args:
        spec: the norm.
        stats: those of its statistics that take part.
        inputs: moments, weight, bias and ratio logits.
        running: the moments of the batch are a norm's running statistics,
            with a whitening matrix for a covariance where it keeps one.

    Returns:
        A (N or 1, E, c, c), b (N or 1, E, c) and W (N or 1, G, c, c).
    """
    samples, groups, rows = inputs.moments.mean.shape
    channels = groups * rows
    for values in inputs.parameters[:2]:
        channels = channels if values is None else values.numel()
    stage = Stage.of(spec, stats, samples, channels, inputs.parameters)
    backend = evaluating(PYTORCH, spec) if running else PYTORCH
    return backend.transform(stage, inputs)


def running_coefficients(
    running: Running,
    parameters: Parameters,
    spec: NormSpec,
    stats: tuple[str, ...],
) -> Coefficients:
    """Return the affine map that a norm is in evaluation.

    As precise as in the norm itself, so that eigenvectors have the signs
    that they have there.

    Args:
        running: the norm's buffers.
        parameters: weight, bias and ratio logits.
        spec: the norm.
        stats: those of its statistics, all the batch's, that take part.

    Returns:
        A (1, G, c, c), b (1, G, c) and W (1, G, c, c), in float32 or wider.
    """
    dtype = torch.promote_types(running.mean.dtype, torch.float32)
    batch = running.moments(spec.num_rows, dtype)
    inputs = StageInputs(None, batch, parameters)
    return coefficients(spec, stats, inputs, running=True)
