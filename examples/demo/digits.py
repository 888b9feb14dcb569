"""Mask R-CNN from scratch on digits: a demo that needs no download."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS
from rich.console import Console

from examples.demo.steps import (
    Steps,
    claim,
    data_options,
    evaluate,
    make_data,
    output_to,
    train,
    where,
)
from whiten_plugins.config.loading import load_config
from whiten_plugins.ratios.report import write_report

CONFIG_NAME = 'mask-rcnn_r18_fpn_sw-all_1xb4-400i_mini-coco.py'


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
    claim(work_dir, asdict(demo))
    log = work_dir / 'output.txt'
    steps = Steps(console, 4)

    with steps.step(f'Mini data set in {data}'):
        make_data(
            data, console, num_train=demo.num_train, num_val=demo.num_val
        )
    cfg = _load(demo, config, data, work_dir, log)

    with steps.step(f'Training with {demo.norm}; details in {log}'):
        checkpoint = train(cfg, console, log)

    with steps.step('Evaluation on the validation images'):
        metrics = evaluate(cfg, checkpoint, console, log)

    with steps.step('Importance ratios'):
        report = _report(demo, cfg, work_dir, console)

    places = {
        'data set': data,
        'checkpoint': checkpoint,
        'training log': log,
        'metrics': work_dir / 'metrics.json',
        'predictions': work_dir / 'predictions.png',
    }
    if report is not None:
        places['ratios'] = report
    console.print(where(places))
    return metrics


def _load(
    demo: Demo, config: Path, data: Path, work_dir: Path, log: Path
) -> Config:
    options = {
        'norm_cfg.type': demo.norm,
        'randomness.seed': demo.seed,
        'train_cfg.max_iters': demo.max_iters,
        'param_scheduler.1.end': max(demo.max_iters, 51),
        **data_options(data),
    }
    with output_to(log):
        return load_config(config, options, work_dir)


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
