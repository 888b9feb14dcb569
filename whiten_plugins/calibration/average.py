r"""Batch average (SN section 3.2, "Inference").

A moving average remembers the last few batches, taken while the weights were
still changing. The batch average freezes the weights, feeds mini-batches of
training images, and averages the statistics that they produce in each norm:

.. math::
    \bar s = \frac{\sum_b M_b s_b}{\sum_b M_b}

where :math:`s_b` is what the norm would feed to its moving average for
mini-batch b, and :math:`M_b` the number of elements a channel has in it, so
that a smaller last batch counts for what it holds. What that says:

**The average of the batches' variances, not the variance of all images.** It
is what the weights were trained with. The latter would add the spread of the
batches' means. The means are those of all images either way, and with all
images in one batch everything is.

**Whitening matrices are averaged where the norm evaluates with them** (BW and
ItN with ``running='matrix'``): DBN algorithm 1, line 11 defines the expected
whitening matrix as the average of those of the batches. Covariances are,
where it keeps those (SW, and ``running='cov'``). torch's BatchNorm averages
unbiased variances, the others the papers' biased ones.

**All norms in one pass.** While the statistics of a norm are collected, those
before it normalize by the mini-batch, as in training, so every norm sees the
inputs it was trained on.

**Norms that do not use the batch in training stay as they are**: those of
frozen stages, and of backbones with ``norm_eval=True``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..utils.module_state import restored_afterwards


@dataclass(frozen=True)
class BatchAverage:
    """What :func:`batch_average` did.

    Attributes:
        averaged: names of the norms that have new running statistics.
        kept: names of those that keep theirs, for no mini-batch gave them
            finite statistics: they were not run, or saw single elements.
    """

    averaged: list[str]
    kept: list[str]


def batch_average(
    model: nn.Module,
    batches: Iterable[Any],
    forward: Callable[[Any], Any] | None = None,
    seed: int = 0,
) -> BatchAverage:
    """Set the running statistics of all norms to their batch average.

    Norms are the modules with a ``momentum`` and ``running_*`` buffers: SN,
    SW, BW, ItN, torch's and mmcv's BatchNorms, and the Sync version of each.
    Sums are taken in float64. Nothing else changes: weights, other buffers,
    training and evaluation modes, and random number generators are
    afterwards what they were, also after an error.

    In a process group every process calls this with its own mini-batches, as
    many as the others, and all get the same average over all of them.

    A mini-batch with NaN or Inf is left out at the norms that it reaches.

    Args:
        model: the network, not wrapped for data parallelism.
        batches: mini-batches of training images.
        forward: what to do with each. Default: ``model(batch)``; for
            mmengine's models the forward pass of training, up to the loss,
            so that the norms of RoI heads see the RoIs of training.
        seed: of the random choices in the forward pass (RoI sampling,
            dropout), together with the rank of the process.

    Raises:
        ValueError: if ``model`` has no norm that uses the batch in training,
            or none gets an average.
    """
    forward = forward or training_forward(model)
    with restored_afterwards(model, seed), torch.no_grad():
        model.train()
        sums = {
            name: _Sums(module)
            for name, module in model.named_modules()
            if module.training and running_buffers(module)
        }
        if not sums:
            raise ValueError(
                f'{type(model).__name__} has no norm that uses the statistics '
                'of the batch in training: there is nothing to average'
            )
        with ExitStack() as stack:
            for norm in sums.values():
                stack.enter_context(norm)
            for batch in batches:
                forward(batch)
        averages = {name: norm.average() for name, norm in sums.items()}
    kept = [name for name, average in averages.items() if average is None]
    if len(kept) == len(averages):
        raise ValueError(
            f'none of the {len(kept)} norms of {type(model).__name__} got '
            'finite statistics from any mini-batch'
        )
    for name, average in averages.items():
        for key, value in (average or {}).items():
            getattr(model.get_submodule(name), key).copy_(value)
    return BatchAverage([name for name in averages if name not in kept], kept)


def training_forward(model: nn.Module) -> Callable[[Any], Any]:
    """Return the forward pass of training, up to the loss.

    It takes a batch as the data loader gives it. For a model that is not
    mmengine's, it is the model itself.
    """
    if not isinstance(model, BaseModel):
        return model

    def forward(batch: Any) -> Any:
        data = model.data_preprocessor(batch, True)
        return model._run_forward(data, mode='loss')  # as train_step does

    return forward


def running_buffers(module: nn.Module) -> dict[str, Tensor]:
    """Return the moving averages of a norm by name, none for others."""
    if not hasattr(module, 'momentum'):
        return {}
    return {
        name: buffer
        for name, buffer in module.named_buffers(recurse=False)
        if name.startswith('running_')
    }


class _Sums:
    """Collect what a norm feeds to its moving averages.

    With momentum 1 a moving average is the statistics of the last batch, in
    whatever way and over whichever processes the norm computed them. As a
    context manager it reads them so after each forward pass. A mark in the
    buffers, a value that no statistic has, tells when a pass has left them
    alone.
    """

    def __init__(self, norm: nn.Module) -> None:
        self.norm: Any = norm  # whose momentum is set
        self.buffers = running_buffers(norm)
        marks = [
            torch.full_like(buffer, torch.finfo(buffer.dtype).max / 2)
            for buffer in self.buffers.values()
        ]
        self.marks = self._flat(marks)
        self.elements = self.marks.new_zeros(1)
        self.sums = torch.zeros_like(self.marks)

    def __enter__(self) -> None:
        self.momentum, self.norm.momentum = self.norm.momentum, 1.0
        self.hooks = (
            self.norm.register_forward_pre_hook(self._mark),
            self.norm.register_forward_hook(self._add),
        )

    def __exit__(self, *exc_info: object) -> None:
        self.norm.momentum = self.momentum
        for hook in self.hooks:
            hook.remove()

    def average(self) -> dict[str, Tensor] | None:
        """Return the average over all processes by name of the buffer.

        None where there was no mini-batch.
        """
        all_reduce(self.elements)
        all_reduce(self.sums)
        if self.elements == 0:
            return None
        return self._unflat(self.sums / self.elements)

    def _mark(self, norm: nn.Module, inputs: tuple) -> None:
        for name, mark in self._unflat(self.marks).items():
            self.buffers[name].copy_(mark)

    def _add(self, norm: nn.Module, inputs: tuple, output: Tensor) -> None:
        values = self._flat(self.buffers.values())
        taken = (values.isfinite() & (values != self.marks)).all()
        elements = output.numel() // output.shape[1]
        self.elements += torch.where(taken, elements, 0)
        self.sums += torch.where(taken, elements * values, 0)

    def _flat(self, tensors: Iterable[Tensor]) -> Tensor:
        return torch.cat([t.flatten().double() for t in tensors])

    def _unflat(self, flat: Tensor) -> dict[str, Tensor]:
        sizes = [buffer.numel() for buffer in self.buffers.values()]
        return {
            name: values.view_as(buffer)
            for (name, buffer), values in zip(
                self.buffers.items(), flat.split(sizes)
            )
        }
