"""Random numbers that go on after a resume as if nothing had been."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

KEY = 'random_states'


@HOOKS.register_module(force=True)
class RandomStateHook(Hook):
    """Saves the states of the random generators and restores them.

    mmengine's checkpoints have a seed, but not how far its generators have
    come: a resumed training draws other dropout masks and other augmentations
    than one that was never interrupted. With this hook a checkpoint has,
    under ``random_states``, the states of Python's, NumPy's and torch's
    generators of every process, those of GPUs too, and a resumed training
    goes on from them. Validation takes nothing from them, so that a training
    that resumes before it and one that has done it draw the same.

    The workers of a data loader seed themselves and are not concerned.

    Examples::

        >>> custom_hooks = [dict(type='RandomStateHook')]
    """

    priority = 'LOW'  # before CheckpointHook, whose priority is VERY_LOW

    def __init__(self) -> None:
        self._gathered: tuple[int, list[dict]] | None = None
        self._resumed: list[dict] | None = None
        self._outside: dict | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the states until training begins."""
        self._resumed = checkpoint.get(KEY)

    def before_train(self, runner: Runner) -> None:
        """Restore the states, if the training is resumed."""
        if runner.iter == 0 or not self._resumed:
            return
        states, rank = self._resumed, get_rank()
        if rank >= len(states):
            print_log(
                f'RandomStateHook: the checkpoint is of {len(states)} '
                f'processes; process {rank} starts from its seed',
                logger='current',
            )
            return
        loop = runner.train_loop
        if hasattr(loop, 'dataloader_iterator'):
            # It first skips what has been trained, drawing numbers for it,
            # unless OneDL's loop is told not to.
            keeps = getattr(loop, 'fast_forward_on_resume', False)
            loop.dataloader_iterator = _Skipping(
                loop.dataloader_iterator,
                0 if keeps else runner.iter,
                states[rank],
            )
        else:
            restore(states[rank])

    def before_val(self, runner: Runner) -> None:
        """Keep the states of training apart from validation."""
        self._outside = capture()

    def after_val(self, runner: Runner) -> None:
        """Go on with the states of training."""
        if self._outside is not None:
            restore(self._outside)
        self._outside = None

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any):
        """Gather the states of all processes, if a checkpoint is due."""
        if any(_is_due(hook, runner, False) for hook in _savers(runner)):
            self._gather(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Gather the states of all processes, if a checkpoint is due."""
        if any(_is_due(hook, runner, True) for hook in _savers(runner)):
            self._gather(runner)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        """Gather them for the checkpoint of the best result."""
        self._gather(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the states; mmengine calls this in the first process alone."""
        if self._gathered is not None and self._gathered[0] == runner.iter:
            checkpoint[KEY] = self._gathered[1]

    def _gather(self, runner: Runner) -> None:
        mine = self._outside if self._outside is not None else capture()
        self._gathered = runner.iter, all_gather_object(mine)


class _Skipping:
    """An iterator that restores states after its first elements."""

    def __init__(self, iterator: Any, count: int, state: dict) -> None:
        self._iterator = iterator
        self._left = count
        self._state = state

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if self._left == 0:
            # OneDL makes the loader's own iterator now, which draws a seed.
            getattr(self._iterator, '_ensure_iterator', lambda: None)()
            restore(self._state)
        self._left -= 1
        return next(self._iterator)

    def skip_iter(self, count: int) -> None:
        """Skip elements without loading them, as OneDL's loop does."""
        self._iterator.skip_iter(count)
        self._left -= count


def _savers(runner: Runner) -> Iterator[CheckpointHook]:
    return (hook for hook in runner.hooks if isinstance(hook, CheckpointHook))


def _is_due(hook: CheckpointHook, runner: Runner, epoch: bool) -> bool:
    """Return whether a hook saves after this iteration or epoch."""
    if hook.by_epoch != epoch:
        return False
    if epoch:
        last = hook.is_last_train_epoch(runner)
        every = hook.every_n_epochs(runner, hook.interval, hook.save_begin)
    else:
        last = hook.is_last_train_iter(runner)
        every = hook.every_n_train_iters(
            runner, hook.interval, hook.save_begin
        )
    return every or (hook.save_last and last)


def capture() -> dict[str, Any]:
    """Return the states of this process's generators, as plain values."""
    numpy: Any = np.random.get_state(legacy=False)
    keys = numpy['state']['key'].astype(np.int64)
    version, numbers, gauss = random.getstate()
    return {
        'python': [version, list(numbers), gauss],
        'numpy': [
            numpy['bit_generator'],
            torch.from_numpy(keys),
            numpy['state']['pos'],
            numpy['has_gauss'],
            numpy['gauss'],
        ],
        'torch': torch.get_rng_state(),
        'cuda': torch.cuda.get_rng_state_all()
        if torch.cuda.is_available()
        else [],
    }


def restore(state: dict[str, Any]) -> None:
    """Put the generators of this process into states of :func:`capture`."""
    version, numbers, gauss = state['python']
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    for index, value in enumerate(state['cuda'][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(value.cpu(), index)
