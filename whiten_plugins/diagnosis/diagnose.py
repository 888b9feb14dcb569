"""Run a network on batches and measure what each of its norms does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..analysis.norms import list_norms
from ..calibration.average import training_forward
from ..utils.module_state import restored_afterwards
from .advice import advise
from .probe import NormProbe
from .results import Diagnosis


def diagnose(
    model: nn.Module,
    batches: Iterable[Any],
    forward: Callable[[Any], Any] | None = None,
    *,
    backward: bool = False,
    cfg: Mapping | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Measure what every norm of a network does on some batches.

    The network runs in training mode, frozen norms as they are frozen.
    Nothing of it changes: weights, gradients, buffers, modes and random
    number generators are afterwards what they were, also after an error.

    Any norm is measured: torch's and mmcv's BatchNorm, SyncBN, GroupNorm,
    LayerNorm and InstanceNorm, the family of this package, and others whose
    class calls itself a norm. Covariances over all channels are taken from
    2048 random elements of each call and, in wider layers, from 512
    channels; everything else from all elements.

    Args:
        model: the network, not wrapped for data parallelism.
        batches: mini-batches, of the size that it is trained with.
        forward: what to do with each. Default: ``model(batch)``; for
            mmengine's models the forward pass of training, up to the loss.
        backward: also look at the gradients of the loss, which ``forward``
            has to return; in mmengine's models it does.
        cfg: the config of the network; names who put each norm there.
        seed: of everything random.

    Raises:
        ValueError: if the network has no norm, ``batches`` is empty, or
            there is no loss to differentiate.

    Examples::

        >>> import torch
        >>> from torchvision.models import resnet18
        >>> found = diagnose(resnet18(), [torch.randn(4, 3, 32, 32)] * 2)
        >>> found.norms[0].name
        'bn1'
    """
    start = time.perf_counter()
    forward = forward or training_forward(model)
    with restored_afterwards(model, seed), ExitStack() as stack:
        rows = [row for row in list_norms(model, cfg) if row.channels > 0]
        if not rows:
            raise ValueError(
                f'{type(model).__name__} has no norm: there is nothing to '
                'diagnose'
            )
        order: list[str] = []
        probes = {}
        for index, row in enumerate(rows):
            norm = model.get_submodule(row.name)
            probe = NormProbe(row, norm, seed + index, get_world_size())
            stack.enter_context(probe)
            stack.callback(
                norm.register_forward_pre_hook(_noting(row.name, order)).remove
            )
            probes[row.name] = probe
        count = 0
        with torch.set_grad_enabled(backward):
            for batch in batches:
                loss = forward(batch)
                if backward:
                    _differentiate(model, loss, probes)
                del loss
                count += 1
        if not count:
            raise ValueError('no batches were given')
        names = [name for name in order if probes[name].passes]
        with torch.no_grad():
            norms = [probes[name].finish() for name in names]
    found = Diagnosis(
        norms, [name for name in probes if name not in names], count
    )
    found.advice = advise(norms)
    found.about['seed'] = seed
    found.about['seconds'] = round(time.perf_counter() - start, 3)
    return found


def _noting(name: str, order: list[str]) -> Callable[[nn.Module, tuple], None]:
    """Build a hook that records a name once, when its norm first runs."""

    def note(module: nn.Module, args: tuple) -> None:
        if name not in order:
            order.append(name)

    return note


def _differentiate(
    model: nn.Module, loss: Any, probes: Mapping[str, NormProbe]
) -> None:
    """Run the backward pass and leave no gradient behind."""
    if isinstance(model, BaseModel) and isinstance(loss, dict):
        loss = model.parse_losses(loss)[0]
    if not (isinstance(loss, Tensor) and loss.numel() == 1):
        raise ValueError(
            'backward needs a loss: forward must return one number, got '
            f'{type(loss).__name__}'
        )
    if not loss.requires_grad:
        raise ValueError('backward needs a loss with a gradient')
    kept = {p: p.grad for p in model.parameters()}
    try:
        for parameter in kept:
            parameter.grad = None
        # What checkpointing computes once more was looked at already.
        for probe in probes.values():
            probe.watching = False
        loss.backward()
    finally:
        for probe in probes.values():
            probe.watching = True
        for parameter, gradient in kept.items():
            parameter.grad = gradient
