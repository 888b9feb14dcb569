"""Steps that the demos share; each uses again what an earlier run left."""

import atexit
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner, find_latest_checkpoint
from rich.console import Console
from rich.table import Table

from examples.demo.picture import draw_predictions
from examples.demo.progress import ProgressHook
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.demo_data import make_mini_dataset
from whiten_plugins.runner import build_runner
from whiten_plugins.utils.files import write_texts

NUM_PICTURES = 5


def claim(work_dir: Path, settings: dict[str, Any]) -> None:
    """Mark a folder with the settings of its demo."""
    file = work_dir / 'demo.json'
    if file.exists():
        found = json.loads(file.read_text())
        if found != settings:
            raise ConfigError(
                f'{work_dir} holds a demo with other settings ({found}): '
                'give another --work-dir or remove it'
            )
        return
    work_dir.mkdir(parents=True, exist_ok=True)
    write_json(file, settings)


def make_data(data: Path, console: Console, **settings: Any) -> None:
    """Make a data set in COCO's format, or find it there."""
    if not make_mini_dataset(data, 'coco', progress=True, **settings):
        console.print('      there already')


def data_options(data: Path) -> dict[str, str]:
    """Return the options of a config that name the folder of its data."""
    annotations = data / 'annotations' / 'instances_val2017.json'
    return {
        **{
            f'{split}_dataloader.dataset.data_root': f'{data}/'
            for split in ('train', 'val', 'test')
        },
        **{
            f'{split}_evaluator.ann_file': str(annotations)
            for split in ('val', 'test')
        },
    }


def train(cfg: Config, console: Console, log: Path) -> Path:
    """Train, resume, or find the training finished."""
    work_dir = Path(cfg.work_dir)
    checkpoint = work_dir / f'iter_{cfg.train_cfg.max_iters}.pth'
    with output_to(log):
        latest = find_latest_checkpoint(str(work_dir))
    if latest is not None and Path(latest).name == checkpoint.name:
        console.print('      finished already')
        return checkpoint
    if latest is not None:
        console.print(f'      continues from {latest}')
    # Evaluation is a step of its own.
    cfg = deepcopy(cfg)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.resume = True
    with ProgressHook(console) as progress, output_to(log):
        _build(cfg, progress).train()
    return checkpoint


def evaluate(
    cfg: Config, checkpoint: Path, console: Console, log: Path
) -> dict[str, float]:
    """Evaluate once, draw the first images, and say the AP."""
    results = Path(cfg.work_dir) / 'metrics.json'
    if results.exists():
        console.print('      done already')
        metrics = json.loads(results.read_text())
    else:
        cfg = deepcopy(cfg)
        cfg.load_from = str(checkpoint)
        samples = _FirstSamples(NUM_PICTURES)
        with ProgressHook(console) as progress, output_to(log):
            metrics = _build(cfg, progress, samples).test()
        metrics = {key: float(value) for key, value in metrics.items()}
        picture = results.with_name('predictions.png')
        classes = len(cfg.test_dataloader.dataset.metainfo.classes)
        # Digits are called by their numbers, a class alone by none.
        names = [''] if classes == 1 else list(map(str, range(classes)))
        draw_predictions(samples.samples, picture, names)
        write_json(results, metrics)
    for task in ('bbox', 'segm'):
        # mmdet gives no AP where a network finds nothing at all.
        ap = metrics.get(f'coco/{task}_mAP', 0.0)
        console.print(f'      {task} AP (0.50:0.95) {ap:.3f}')
    return metrics


def where(places: dict[str, Path]) -> Table:
    """Return a table of what lies where."""
    table = Table.grid(padding=(0, 2))
    table.title = 'Where everything is'
    table.title_justify = 'left'
    for name, place in places.items():
        table.add_row(name, str(place))
    return table


class Steps:
    """Numbers the steps of a demo and says how long each took.

    Args:
        console: Where to say it.
        total: How many there are.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._number = console, total, 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step, and say at its end how long it took."""
        self._number += 1
        self._console.print(
            f'[bold][{self._number}/{self._total}][/bold] {title}',
            highlight=False,
        )
        start = time.monotonic()
        yield
        self._console.print(f'      took {time.monotonic() - start:.0f} s')


class _FirstSamples(Hook):
    """Keeps the first test results."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.samples: list = []

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        missing = self.count - len(self.samples)
        self.samples += outputs[:missing]


def _build(cfg: Config, *hooks: Hook) -> Runner:
    runner = build_runner(cfg)
    for hook in hooks:
        runner.register_hook(hook)
    return runner


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Send what the toolkits print to a file."""
    file = _opened(log)
    with redirect_stdout(file), redirect_stderr(file):
        yield


@cache
def _opened(log: Path) -> TextIO:
    """Open a log once: loggers keep writing to the stream they found."""
    file = log.open('a', buffering=1)
    atexit.register(file.close)
    return file


def write_json(path: Path, content: dict) -> None:
    """Write a file whole or not at all."""
    write_texts({path: json.dumps(content, indent=2) + '\n'})
