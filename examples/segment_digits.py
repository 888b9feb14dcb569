"""First contact: train a PSPNet with SW on handwritten digits in two minutes.

No compiled operator of mmcv takes part, so that a machine without a compiler
can run it: `make demo-quick`. The network is that of configs/mini, trained
for fewer iterations, and what is left behind is a picture of what it sees
and the report of what its layers chose.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.runner import Runner

from whiten_plugins.config import load_config
from whiten_plugins.demo_data import make_mini_dataset
from whiten_plugins.ratios.report import write_report
from whiten_plugins.runner import build_runner

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/mini/pspnet_r18-d8_sw_1xb16-1000i_mini-ade20k.py'


def short_config(data: Path, work_dir: Path, iterations: int) -> Config:
    """Return the mini config with its own folder and few iterations."""
    options = {
        'train_cfg.max_iters': iterations,
        'param_scheduler.1.end': max(iterations, 51),
        'default_hooks.logger.interval': max(1, iterations // 10),
        'default_hooks.checkpoint.interval': iterations,
        'log_level': 'WARNING',
    }
    for split in ('train', 'val', 'test'):
        options[f'{split}_dataloader.dataset.data_root'] = f'{data}/'
    cfg = load_config(CONFIG, options, work_dir)
    # The picture is the evaluation.
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    return cfg


@torch.no_grad()
def draw_predictions(runner: Runner, path: Path, count: int = 5) -> None:
    """Draw images, what there is to find, and what the network finds."""
    dataset = runner.build_dataloader(runner.cfg.test_dataloader).dataset
    figure = Figure(figsize=(2 * count, 6), layout='constrained')
    axes = figure.subplots(3, count)
    model = runner.model.eval()
    for index, column in enumerate(axes.T):
        item = dataset[index]
        inputs, sample = item['inputs'], item['data_samples']
        (found,) = model.test_step(
            dict(inputs=[inputs], data_samples=[sample])
        )
        image = inputs.permute(1, 2, 0).numpy()[..., ::-1]
        truth = sample.gt_sem_seg.data[0].numpy()
        prediction = found.pred_sem_seg.data[0].cpu().numpy()
        column[0].imshow(image)
        for axis, labels in zip(column[1:], (truth, prediction)):
            digits = np.ma.masked_outside(labels, 1, 10)
            axis.imshow(image, alpha=0.4)
            axis.imshow(digits, cmap='tab10', vmin=1, vmax=10)
    for axis, name in zip(axes[:, 0], ('image', 'truth', 'prediction')):
        axis.set_ylabel(name)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--iterations', type=int, default=300, help='default: %(default)s'
    )
    parser.add_argument(
        '--data',
        type=Path,
        default=Path('data/mini_ade20k'),
        metavar='DIR',
        help='folder of the data set (default: %(default)s)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/demo-quick'),
        metavar='DIR',
        help='folder for the results (default: %(default)s)',
    )
    args = parser.parse_args()
    try:
        make_mini_dataset(args.data, 'ade20k', progress=True)
        cfg = short_config(args.data, args.work_dir, args.iterations)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    runner = build_runner(cfg)
    runner.train()
    picture = args.work_dir / 'predictions.png'
    draw_predictions(runner, picture)
    report = args.work_dir / 'ratios'
    write_report([args.work_dir], report, config=cfg, overwrite=True)
    print(f'The picture is {picture}, the report {report}/report.html')


if __name__ == '__main__':
    sys.exit(main())
