"""What calls that are alike agree on, found once."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from .backends import Backend, Fused, backend_for
from .evaluation import evaluating
from .spec import BATCH_STATS, NormSpec
from .stage import Parameters, ParameterShapes, Stage

_PLAIN = (Tensor, Parameter)


class Plan(NamedTuple):
    """How a norm serves one kind of input.

    ``batch_training`` says whether the batch's statistics are the input's;
    the running ones are read otherwise. ``fused`` are all steps in one,
    where the backend has them for this kind.
    """

    backend: Backend
    stage: Stage
    batch_training: bool
    fused: Fused | None = None

    @property
    def spec(self) -> NormSpec:
        return self.stage.spec


def active_stats(
    shape: tuple[int, ...],
    spec: NormSpec,
    training: bool,
    processes: int = 1,
) -> tuple[tuple[str, ...], bool]:
    r"""Return the statistics that more than one element defines.

    And whether those of the batch are the input's, if there are any.

    Args:
        shape: (N, C, \*).
        spec: the norm.
        training: take the statistics of the batch from the input.
        processes: that share these.

    Raises:
        ValueError: if there are none.
    """
    size = math.prod(shape[1:])
    numel = shape[0] * size
    batch_training = training and (numel > 0 or processes > 1)
    active = spec.stats
    if numel > 0:
        rows = spec.num_rows if spec.across_groups else shape[1]
        in_sample = size > rows
        in_batch = not batch_training or numel > rows or processes > 1
        defined = {
            'in': in_sample,
            'iw': in_sample,
            'ln': size > 1,
            'bn': in_batch,
            'bw': in_batch,
        }
        active = tuple(name for name in spec.stats if defined[name])
    if not active:
        batch = 'a larger batch, Sync statistics over several processes, '
        raise ValueError(
            'Expected more than 1 value per channel for '
            f'{", ".join(spec.stats)} statistics, got input size '
            f'{tuple(shape)}: use {batch if spec.uses_batch else ""}'
            'a larger map, or a norm with ln among its statistics'
        )
    uses_batch = any(name in BATCH_STATS for name in active)
    return active, batch_training and uses_batch


def plan_for(
    x: Tensor,
    parameters: Parameters,
    spec: NormSpec,
    training: bool,
    processes: int = 1,
) -> Plan:
    """Return the plan for an input.

    Args:
        x: the input.
        parameters: what the norm learns.
        spec: the norm.
        training: take the statistics of the batch from ``x``.
        processes: that share these.

    Raises:
        ValueError: if every statistic would be taken over one element.
    """
    backend = backend_for(x, spec)
    # Sizes that stand for many values, as a tracer's, cannot be looked up.
    find = _cached if type(x) in _PLAIN else _find
    return find(
        backend,
        spec,
        x.shape,
        ParameterShapes(parameters.affine, parameters.ratio_groups),
        training,
        processes,
    )


def _find(
    backend: Backend,
    spec: NormSpec,
    shape: torch.Size,
    parameters: ParameterShapes,
    training: bool,
    processes: int,
) -> Plan:
    active, batch_training = active_stats(shape, spec, training, processes)
    if not batch_training:
        backend = evaluating(backend, spec)
    stage = Stage.of(spec, active, shape[0], shape[1], parameters)
    plan = Plan(backend, stage, batch_training)
    if backend.fuse is None or processes > 1:
        return plan
    return plan._replace(fused=backend.fuse(plan, shape))


_cached = functools.lru_cache(maxsize=4096)(_find)
"""Detectors see a new size in nearly every iteration."""
