"""Batch average at the end of a training and before its validations."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from mmengine.dist import get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ..utils.model_wrappers import unwrap_model
from .average import batch_average, running_buffers
from .data import check_num_images, sample_loader


@HOOKS.register_module(force=True)
class BatchAverageHook(Hook):
    """Replace the running statistics by their batch average.

    After the last iteration it does what
    :func:`~whiten_plugins.calibration.batch_average` says, on random images
    of the training set: before the last checkpoint is saved and before the
    last validation, so both have it. Where an ``EMAHook`` averages the
    weights, the statistics are those of the averaged weights, which are the
    ones that are validated and saved. A training that is stopped early keeps
    its moving averages.

    With ``every_val`` each validation sees the batch average of the weights
    that it validates, as SN section 3.2 evaluates. The training does not
    notice: its moving averages are put back once the validation is over, and
    the checkpoints that it resumes from hold them. A checkpoint that
    ``save_best`` writes has what was validated.

    Args:
        num_images: Training images to average over, a multiple of the number
            of processes. SN section 3.2 finds 50000 of ImageNet's as good as
            all of them.
        batch_size: Images a mini-batch of one process. Default: as in
            training.
        seed: Of the choice of images and everything random in the forward
            pass. Default: 0.
        every_val: Whether to average before every validation, not only at
            the end. Default: False.

    Raises:
        ValueError: If ``num_images`` is not possible; before training.

    Examples::

        >>> custom_hooks = [
        ...     dict(type='BatchAverageHook', num_images=2000, every_val=True)
        ... ]
    """

    # After the optimizer's step and EMAHook, before CheckpointHook.
    priority = 'LOW'

    def __init__(
        self,
        num_images: int,
        batch_size: int | None = None,
        seed: int = 0,
        every_val: bool = False,
    ) -> None:
        self.num_images = num_images
        self.batch_size = batch_size
        self.seed = seed
        self.every_val = every_val
        self._due = False
        self._moving: list[tuple[Tensor, Tensor]] = []

    def before_train(self, runner: Runner) -> None:
        available = len(runner.train_dataloader.dataset)
        check_num_images(self.num_images, available, get_world_size())
        self._due = self.every_val

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | tuple | list | None = None,
        outputs: dict | None = None,
    ) -> None:
        if self.is_last_train_iter(runner):
            self._average(runner)
            self._due = False  # the last validation has it already

    def before_val(self, runner: Runner) -> None:
        if self._due:
            self._moving = [
                (buffer, buffer.clone())
                for network in _networks(runner)
                for module in network.modules()
                for buffer in running_buffers(module).values()
            ]
            self._average(runner)

    def after_val(self, runner: Runner) -> None:
        # Not after_val_epoch: there CheckpointHook saves the best one.
        for buffer, value in self._moving:
            buffer.copy_(value)
        self._moving = []

    def after_train(self, runner: Runner) -> None:
        self._due = False

    def _average(self, runner: Runner) -> None:
        model, *averaged = _networks(runner)
        target = averaged[0] if averaged else model
        loader = sample_loader(
            runner.train_dataloader,
            self.num_images,
            self.batch_size,
            self.seed,
        )
        print_log(
            f'BatchAverageHook: averaging statistics over {self.num_images} '
            'training images',
            logger='current',
        )
        try:
            done = batch_average(target, loader, seed=self.seed)
        except ValueError as error:
            if get_world_size() > 1:  # the others may be waiting
                raise
            # What was trained is worth more than its last statistics.
            print_log(
                f'BatchAverageHook: the moving averages stay: {error}',
                logger='current',
                level=logging.ERROR,
            )
            return
        if target is not model:
            _copy_running(target, model, done.averaged)
        kept = f'; kept: {", ".join(done.kept)}' if done.kept else ''
        print_log(
            f'BatchAverageHook: {len(done.averaged)} norms averaged{kept}',
            logger='current',
        )


def _networks(runner: Runner) -> list[nn.Module]:
    """Return the network in training and, with ``EMAHook``, its average."""
    model = unwrap_model(runner.model)
    averaged = [
        hook.ema_model.module
        for hook in runner.hooks
        if isinstance(hook, EMAHook)
    ]
    return [model, *averaged]


def _copy_running(
    source: nn.Module, target: nn.Module, norms: Iterable[str]
) -> None:
    """Copy statistics of averaged weights to the model.

    mmengine validates averaged weights with the model's own buffers.
    """
    for norm in norms:
        buffers = running_buffers(target.get_submodule(norm))
        values = running_buffers(source.get_submodule(norm))
        for name, buffer in buffers.items():
            buffer.copy_(values[name])
