"""The steps of the demo; each uses again what an earlier run has left."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODELS
from mmengine.runner import Runner, find_latest_checkpoint
from rich.console import Console
from rich.table import Table

from examples.demo.picture import draw_predictions
from examples.demo.progress import ProgressHook
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.config.loading import load_config
from whiten_plugins.demo_data import make_mini_dataset
from whiten_plugins.ratios.report import write_report
from whiten_plugins.runner import build_runner

CONFIG_NAME = 'mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco.py'
NUM_PICTURES = 5


@dataclass(frozen=True)
class Demo:
    """What to train; two demos in one folder must agree in all of it.

    Args:
        norm: ``norm_cfg.type`` of every norm.
        seed: Seed of weights and batches. The data set does not change.
        max_iters: Training iterations, batches of 4 images.
        num_train: Training images.
        num_val: Validation images.
    """

    norm: str = 'SW'
    seed: int = 0
    max_iters: int = 400
    num_train: int = 800
    num_val: int = 80


def run_demo(
    demo: Demo,
    config: Path,
    data: Path,
    work_dir: Path,
    console: Console | None = None,
) -> dict[str, float]:
    """Make the data, train, evaluate, and report the ratios.

    Whatever is already there is reused: a finished training is not
    repeated, an interrupted one resumes from its last checkpoint.

    Args:
        demo: What to train.
        config: The mini Mask R-CNN's config file.
        data: Folder of the mini data set, made if missing.
        work_dir: Folder for everything else.
        console: Where to say what happens. Default: the terminal.

    Returns:
        The COCO metrics, as mmdet names them.

    Raises:
        ConfigError: If ``work_dir`` holds a demo of other settings.
        FileExistsError: If ``data`` holds anything but this data set.
    """
    console = console or Console(file=sys.stdout)
    _claim(work_dir, demo)
    log = work_dir / 'output.txt'

    with _step(console, 1, f'Mini data set in {data}'):
        made = make_mini_dataset(
            data,
            'coco',
            num_train=demo.num_train,
            num_val=demo.num_val,
            progress=True,
        )
        if not made:
            console.print('      there already')
    cfg = _load(demo, config, data, work_dir, log)

    with _step(console, 2, f'Training with {demo.norm}; details in {log}'):
        checkpoint = _train(cfg, demo, console, log)

    with _step(console, 3, 'Evaluation on the validation images'):
        metrics = _evaluate(cfg, checkpoint, console, log)
        for task in ('bbox', 'segm'):
            # mmdet gives no AP where a network finds nothing at all.
            ap = metrics.get(f'coco/{task}_mAP', 0.0)
            console.print(f'      {task} AP (0.50:0.95) {ap:.3f}')

    with _step(console, 4, 'Importance ratios'):
        report = _report(demo, cfg, work_dir, console)

    console.print(_summary(data, checkpoint, log, work_dir, report))
    return metrics


def _claim(work_dir: Path, demo: Demo) -> None:
    """Mark a folder with the settings of its demo."""
    settings = work_dir / 'demo.json'
    if settings.exists():
        found = json.loads(settings.read_text())
        if found != asdict(demo):
            raise ConfigError(
                f'{work_dir} holds a demo with other settings ({found}): '
                'give another --work-dir or remove it'
            )
        return
    work_dir.mkdir(parents=True, exist_ok=True)
    _write_json(settings, asdict(demo))


def _load(
    demo: Demo, config: Path, data: Path, work_dir: Path, log: Path
) -> Config:
    options = {
        'norm_cfg.type': demo.norm,
        'randomness.seed': demo.seed,
        'train_cfg.max_iters': demo.max_iters,
        'param_scheduler.1.end': max(demo.max_iters, 51),
    }
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.dataset.data_root'] = f'{data}/'
    annotations = data / 'annotations' / 'instances_val2017.json'
    for split in ('val', 'test'):
        options[f'{split}_evaluator.ann_file'] = str(annotations)
    with _output_to(log):
        return load_config(config, options, work_dir)


def _train(cfg: Config, demo: Demo, console: Console, log: Path) -> Path:
    """Train, resume, or find the training finished."""
    work_dir = Path(cfg.work_dir)
    checkpoint = work_dir / f'iter_{demo.max_iters}.pth'
    with _output_to(log):
        latest = find_latest_checkpoint(str(work_dir))
    if latest is not None and Path(latest).name == checkpoint.name:
        console.print('      finished already')
        return checkpoint
    if latest is not None:
        console.print(f'      continues from {latest}')
    # Evaluation is the demo's next step.
    cfg = deepcopy(cfg)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.resume = True
    with ProgressHook(console) as progress, _output_to(log):
        _build(cfg, progress).train()
    return checkpoint


def _evaluate(
    cfg: Config, checkpoint: Path, console: Console, log: Path
) -> dict[str, float]:
    """Evaluate once and draw the first images."""
    results = Path(cfg.work_dir) / 'metrics.json'
    if results.exists():
        console.print('      done already')
        return json.loads(results.read_text())
    cfg = deepcopy(cfg)
    cfg.load_from = str(checkpoint)
    samples = _FirstSamples(NUM_PICTURES)
    with ProgressHook(console) as progress, _output_to(log):
        metrics = _build(cfg, progress, samples).test()
    draw_predictions(samples.samples, results.with_name('predictions.png'))
    _write_json(results, {key: float(v) for key, v in metrics.items()})
    return metrics


def _report(
    demo: Demo, cfg: Config, work_dir: Path, console: Console
) -> Path | None:
    kind = MODELS.get(demo.norm)
    if not getattr(kind, 'has_ratios', False):
        console.print(f'      {demo.norm} has none: it mixes no statistics')
        return None
    out = work_dir / 'ratios'
    write_report([work_dir], out, config=cfg, overwrite=True, console=console)
    return out / 'report.html'


def _summary(
    data: Path,
    checkpoint: Path,
    log: Path,
    work_dir: Path,
    report: Path | None,
) -> Table:
    table = Table.grid(padding=(0, 2))
    table.title = 'Where everything is'
    table.title_justify = 'left'
    rows = {
        'data set': data,
        'checkpoint': checkpoint,
        'training log': log,
        'metrics': work_dir / 'metrics.json',
        'predictions': work_dir / 'predictions.png',
    }
    if report is not None:
        rows['ratios'] = report
    for name, place in rows.items():
        table.add_row(name, str(place))
    return table


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
def _step(console: Console, number: int, title: str) -> Iterator[None]:
    console.print(f'[bold][{number}/4][/bold] {title}', highlight=False)
    start = time.monotonic()
    yield
    console.print(f'      took {time.monotonic() - start:.0f} s')


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send what the toolkits print to a file."""
    with log.open('a') as file, redirect_stdout(file), redirect_stderr(file):
        yield


def _write_json(path: Path, content: dict) -> None:
    temporary = path.with_name(f'.{path.name}')
    temporary.write_text(json.dumps(content, indent=2) + '\n')
    temporary.replace(path)
