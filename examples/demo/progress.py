"""How far a run is and how long it will take, on the terminal."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINES = 10  # that a whole run prints where no bar can be drawn


class ProgressHook(Hook):
    """Shows a bar on a terminal, and a line now and then in a log.

    Use it as a context manager around the run.

    Args:
        console: Where to show it. mmengine's own output goes elsewhere.
    """

    priority = 'LOW'

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn('      {task.description}'),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn('left:'),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> 'ProgressHook':
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def before_train(self, runner: Runner) -> None:
        self._begin('iterations', runner.max_iters, runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        loss = runner.message_hub.get_scalar('train/loss').current()
        self._advance(runner.iter + 1, f'loss {loss:5.2f}')

    def before_test(self, runner: Runner) -> None:
        self._begin('images', len(runner.test_dataloader))

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        self._advance(batch_idx + 1, 'images')

    def _begin(self, description: str, total: int, done: int = 0) -> None:
        self._task = self._progress.add_task(
            description, total=total, completed=done
        )

    def _advance(self, done: int, description: str) -> None:
        self._progress.update(
            self._task, completed=done, description=description
        )
        task = self._progress.tasks[self._task]
        every = max(1, int(task.total) // _LINES)
        if self._progress.disable and done % every == 0:
            left = task.time_remaining
            self._progress.console.print(
                f'      {done}/{task.total:.0f}  {description}'
                + ('' if left is None else f'  about {left:.0f} s left')
            )
