"""From an ImageNet ResNet-50 with BN to a Mask R-CNN with SW on nuclei."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from mmengine.config import Config
from rich.console import Console

from examples.demo.imagenet import (
    Pretrained,
    answer,
    convert,
    find_pretrained,
    write_answers,
)
from examples.demo.steps import (
    Steps,
    claim,
    data_options,
    evaluate,
    make_data,
    output_to,
    train,
    where,
    write_json,
)
from whiten_plugins.config.loading import load_config
from whiten_plugins.diagnosis import (
    Diagnosis,
    diagnose_config,
    write_diagnosis,
)
from whiten_plugins.ratios.report import write_report
from whiten_plugins.utils.terminal import add_row, make_table

CONFIG = Path(__file__).parent / 'configs' / 'nuclei.py'
SIZE = (192, 192)
# What shows which conversion keeps the answers; the last is fine-tuned.
NORMS: dict[str, dict[str, Any]] = {
    'BN': dict(type='BN'),
    'SN': dict(type='SN'),
    'SW, T = 5': dict(type='SW', T=5),
    'SW, T = 9': dict(type='SW', T=9),
}
FINE_TUNED = 'SW, T = 9'
ELEMENTS_A_CHANNEL = 8  # for a condition to be more than noise
PHOTOS = ('a cat', 'a cup of coffee', 'a motorcycle')


@dataclass(frozen=True)
class NucleiDemo:
    """What to train; two demos in one folder must agree in all of it.

    Args:
        seed: Seed of weights and batches. The data set does not change.
        max_iters: Training iterations, batches of 2 images.
        num_train: Training images.
        num_val: Validation images.
        batches: Batches that each diagnosis looks at.
    """

    seed: int = 0
    max_iters: int = 150
    num_train: int = 150
    num_val: int = 20
    batches: int = 2


def run_nuclei(
    demo: NucleiDemo,
    data: Path,
    work_dir: Path,
    console: Console | None = None,
) -> dict[str, float]:
    """Convert, compare the answers, fine-tune, evaluate, diagnose.

    Whatever is already there is reused, as in ``run_demo``.

    Args:
        demo: What to train.
        data: Folder of the nuclei, made if missing.
        work_dir: Folder for everything else.
        console: Where to say what happens. Default: the terminal.

    Returns:
        The COCO metrics, as mmdet names them.

    Raises:
        ConfigError: If ``work_dir`` holds a demo of other settings.
        FileExistsError: If ``data`` holds anything but this data set.
        FetchError: If the nuclei cannot be fetched.
    """
    console = console or Console(file=sys.stdout)
    claim(work_dir, asdict(demo))
    log = work_dir / 'output.txt'
    steps = Steps(console, 6)

    with steps.step(f'Nuclei of HeLa cells, in {data}'):
        make_data(
            data,
            console,
            source='nuclei',
            num_train=demo.num_train,
            num_val=demo.num_val,
            size=SIZE,
        )

    with steps.step('An ImageNet ResNet-50, its BN converted'):
        pretrained = _find(work_dir / 'imagenet', console)
        checkpoints = _convert(pretrained, work_dir / 'imagenet', log)
        if pretrained is not None:
            _compare(pretrained, checkpoints, work_dir, console)
    cfgs = {
        name: _load(demo, pretrained, name, checkpoints, data, work_dir, log)
        for name in ('BN', FINE_TUNED)
    }

    with steps.step(f'Fine-tuning with {FINE_TUNED}; details in {log}'):
        checkpoint = train(cfgs[FINE_TUNED], console, log)

    with steps.step('Evaluation on the validation images'):
        metrics = evaluate(cfgs[FINE_TUNED], checkpoint, console, log)

    with steps.step('Importance ratios, before and after'):
        report = work_dir / 'ratios'
        write_report(
            [work_dir],
            report,
            config=cfgs[FINE_TUNED],
            overwrite=True,
            console=console,
        )

    with steps.step('What the norms do, before and after'):
        _diagnose(demo, cfgs, checkpoint, work_dir, console, log)

    places = {
        'data set': data,
        'checkpoint': checkpoint,
        'training log': log,
        'metrics': work_dir / 'metrics.json',
        'predictions': work_dir / 'predictions.png',
        'ratios': report / 'report.html',
        'diagnoses': work_dir / 'diagnosis',
    }
    if pretrained is not None:
        places['answers'] = work_dir / 'answers.json'
    console.print(where(places))
    return metrics


def _find(folder: Path, console: Console) -> Pretrained | None:
    pretrained, reasons = find_pretrained(folder / 'keras')
    for reason in reasons:
        console.print(f'      {reason}', highlight=False, markup=False)
    if pretrained is None:
        console.print(
            '      [bold]No ImageNet weights can be had: the network starts '
            'from scratch, and will find much less.[/bold]'
        )
    else:
        console.print(f'      it is {pretrained.origin}')
    return pretrained


def _convert(
    pretrained: Pretrained | None, folder: Path, log: Path
) -> dict[str, Path]:
    """Return the converted checkpoints, none where there is no network."""
    if pretrained is None:
        return {}
    names = {name: name.replace(', T = ', '-') for name in NORMS}
    with output_to(log):
        return {
            name: convert(pretrained, norm_cfg, folder / f'{names[name]}.pth')
            for name, norm_cfg in NORMS.items()
        }


def _compare(
    pretrained: Pretrained,
    checkpoints: Mapping[str, Path],
    work_dir: Path,
    console: Console,
) -> None:
    """Show which conversions answer as the BN network does."""
    answers = {
        name: answer(pretrained, NORMS[name], path)
        for name, path in checkpoints.items()
    }
    before = answers['BN']
    table = make_table('norm', *PHOTOS, 'features off', 'answers')
    for name, found in answers.items():
        kept = found.classes == before.classes
        add_row(
            table,
            name,
            *(
                f'{label} {probability:.3f}'
                for label, probability in zip(
                    found.classes, found.probabilities
                )
            ),
            f'{found.distance(before):.1%}',
            'kept' if kept else 'changed',
        )
    console.print(table)
    console.print(
        'Ratios start at the batch statistics. Five Newton iterations stop '
        'short of whitening where the variances in a group differ widely; '
        'more of them reach it.'
    )
    write_answers(answers, work_dir / 'answers.json')


def _load(
    demo: NucleiDemo,
    pretrained: Pretrained | None,
    name: str,
    checkpoints: Mapping[str, Path],
    data: Path,
    work_dir: Path,
    log: Path,
) -> Config:
    warm_up = min(50, max(1, demo.max_iters // 4))
    options: dict[str, Any] = {
        **{f'norm_cfg.{key}': value for key, value in NORMS[name].items()},
        'randomness.seed': demo.seed,
        'train_cfg.max_iters': demo.max_iters,
        'param_scheduler.0.end': warm_up,
        'param_scheduler.1.begin': warm_up,
        'param_scheduler.1.end': max(demo.max_iters, warm_up + 1),
        **data_options(data),
    }
    with output_to(log):
        cfg = load_config(CONFIG, options, work_dir)
    if pretrained is not None:
        cfg.model.backbone.style = pretrained.style
        cfg.model.backbone.init_cfg = dict(
            type='Pretrained', checkpoint=str(checkpoints[name])
        )
        cfg.model.data_preprocessor.update(pretrained.preprocessor)
    return cfg


def _diagnose(
    demo: NucleiDemo,
    cfgs: Mapping[str, Config],
    checkpoint: Path,
    work_dir: Path,
    console: Console,
    log: Path,
) -> None:
    """Diagnose the network with BN, converted, and fine-tuned."""
    found = {}
    stages = {
        'BN': (cfgs['BN'], None),
        'converted': (cfgs[FINE_TUNED], None),
        'fine-tuned': (cfgs[FINE_TUNED], checkpoint),
    }
    table = make_table(
        'backbone',
        'condition before its norms',
        'after them',
        'running statistics off',
    )
    for name, (cfg, weights) in stages.items():
        folder = work_dir / 'diagnosis' / name
        with output_to(log):
            diagnosis = diagnose_config(
                cfg, weights, num_batches=demo.batches, device='cpu'
            )
            write_diagnosis(diagnosis, folder, overwrite=True)
        found[name] = summary(diagnosis)
        before, after, off = found[name].values()
        add_row(table, name, f'{before:.0f}', f'{after:.0f}', f'{off:.0%}')
    console.print(table)
    write_json(work_dir / 'diagnoses.json', found)


def summary(found: Diagnosis) -> dict[str, float]:
    """Summarize the backbone: condition before and after, and the gap.

    Each is the median over norms: of the condition (90 %) over all channels,
    where there are enough elements to estimate it, and of the distance of
    the running variances or covariances from those of these batches.
    """
    norms = [norm for norm in found.norms if norm.name.startswith('backbone')]
    known = [
        norm
        for norm in norms
        if norm.before.elements >= ELEMENTS_A_CHANNEL * norm.info.channels
    ]
    return {
        'condition before': median(n.before.condition.k90 for n in known),
        'condition after': median(n.after.condition.k90 for n in known),
        'running statistics off': median(n.noise.second_off for n in norms),
    }
