"""Batch average of a checkpoint, the work behind ``tools/calibrate.py``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner
from mmengine.runner.checkpoint import weights_to_cpu
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.data import BatchSampler, DataLoader

from ..checkpoints.loading import load_weights
from ..checkpoints.reading import load_checkpoint
from ..checkpoints.writing import save_weights
from ..runner import build_runner
from ..utils.files import check_folder, check_free
from ..utils.model_wrappers import unwrap_model
from .average import BatchAverage, batch_average
from .data import sample_loader


def calibrate_checkpoint(
    cfg: Config,
    checkpoint: str | Path,
    out: str | Path,
    num_images: int,
    *,
    batch_size: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    console: Console | None = None,
) -> BatchAverage:
    """Write a checkpoint whose running statistics are batch averages.

    :func:`~.average.batch_average` says which. Everything else in the state
    dict stays. What is no weight is left out, but for ``meta``.

    Args:
        cfg: config of the training; ``launcher`` names the job launcher.
        checkpoint: of the network in ``cfg``.
        out: file to write.
        num_images: training images to average over, in all processes.
        batch_size: images a mini-batch of one process. Default: that of the
            config.
        seed: of everything random.
        overwrite: replace ``out`` if it is there already.
        console: where to show the progress. Default: the terminal.

    Raises:
        ValueError: if ``checkpoint`` is not of this network, the network has
            no batch statistics, or so many images are not there.
        OSError: if ``out`` cannot be written or is not to be overwritten.
    """
    if cfg.get('train_dataloader') is None:
        raise ValueError(f'{cfg.filename}: has no train_dataloader')
    out = Path(out)
    check_free([out], overwrite, Path(checkpoint))
    source = load_checkpoint(checkpoint)
    size = sum(value.nbytes for value in source.state_dict.values())
    check_folder(out.parent, size)
    with _quiet_runner(cfg) as runner:
        model = unwrap_model(runner.model)
        load_weights(model, source)
        trained = Runner.build_dataloader(cfg.train_dataloader, seed=seed)
        loader = sample_loader(trained, num_images, batch_size, seed)
        batches = _with_progress(loader, num_images, console or Console())
        done = batch_average(model, batches, seed=seed)
    if is_main_process():
        weights = weights_to_cpu(model.state_dict())
        others = source.state_dict.keys() - weights.keys()
        weights.update((key, source.state_dict[key]) for key in sorted(others))
        save_weights(weights, source.meta, out)
    return done


@contextmanager
def _quiet_runner(cfg: Config) -> Iterator[Runner]:
    """Make a runner for its model, which logs and keeps nothing itself."""
    cfg.load_from, cfg.resume = None, False
    cfg.custom_hooks = cfg.visualizer = None
    cfg.log_level = 'WARNING'
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        yield build_runner(cfg)


def _with_progress(
    loader: DataLoader, num_images: int, console: Console
) -> Iterator:
    sampler = loader.batch_sampler
    assert isinstance(sampler, BatchSampler)  # of sample_loader
    step = sampler.batch_size * get_world_size()
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn('left:'),
        TimeRemainingColumn(),
    )
    shown = is_main_process()
    with Progress(*columns, console=console, disable=not shown) as progress:
        task = progress.add_task('training images', total=num_images)
        for number, batch in enumerate(loader, start=1):
            yield batch
            progress.update(task, completed=min(number * step, num_images))
