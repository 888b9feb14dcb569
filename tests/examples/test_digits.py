"""The demo: every step, once; and what a second run uses again."""

import io
import json
from pathlib import Path

import pytest
from mmengine.visualization import Visualizer
from PIL import Image
from rich.console import Console

pytest.importorskip('mmdet')

from examples.demo import CONFIG_NAME, Demo, run_demo
from examples.demo.progress import ProgressHook
from tests.training import read_training
from whiten_plugins.config.errors import ConfigError

MINI = Path(__file__).parents[2] / 'configs' / 'mini'
TINY = Demo(max_iters=2, num_train=2, num_val=2)


@pytest.fixture
def demo(tmp_path):
    """Runs a tiny demo; returns its metrics and what it printed."""
    config = tmp_path / 'tiny.py'
    loader = 'dict(num_workers=0, persistent_workers=False, batch_size=2)'
    config.write_text(
        f"_base_ = '{MINI / CONFIG_NAME}'\n"
        f'train_dataloader = {loader}\n'
        f'test_dataloader = {loader}\n'
        'default_hooks = dict(checkpoint=dict(interval=1))\n'
    )

    def demo(settings=TINY):
        for visualizer in (Visualizer, *Visualizer.__subclasses__()):
            visualizer._instance_dict.clear()  # as in a process of its own
        text = io.StringIO()
        metrics = run_demo(
            settings,
            config,
            tmp_path / 'data',
            tmp_path / 'work',
            Console(file=text, width=200),
        )
        return metrics, text.getvalue()

    return demo


def test_everything_is_made_then_used_again(demo, tmp_path):
    work_dir = tmp_path / 'work'
    metrics, text = demo()
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= metrics.keys()
    assert json.loads((work_dir / 'metrics.json').read_text()) == metrics
    assert '2/2  loss' in text
    for made in (
        tmp_path / 'data',
        work_dir / 'iter_2.pth',
        work_dir / 'predictions.png',
        work_dir / 'ratios' / 'report.html',
    ):
        assert str(made) in text
        assert made.exists()
    width, height = Image.open(work_dir / 'predictions.png').size
    assert width > 2 * 100 and height > 2 * 100

    before = {p: p.stat().st_mtime_ns for p in work_dir.glob('*.*')}
    again, text = demo()
    assert again == metrics
    assert 'finished already' in text
    assert 'done already' in text
    for path in ('iter_2.pth', 'metrics.json', 'predictions.png'):
        path = work_dir / path
        assert path.stat().st_mtime_ns == before[path]

    with pytest.raises(ConfigError, match='other settings'):
        demo(Demo(norm='SN', max_iters=2, num_train=2, num_val=2))


def test_interrupted_training_goes_on(demo, tmp_path, monkeypatch):
    def interrupt(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ProgressHook, 'after_train_iter', interrupt)
        with pytest.raises(KeyboardInterrupt):
            demo()
    _, text = demo()
    assert f'continues from {tmp_path}/work/iter_1.pth' in text
    checkpoint = read_training(tmp_path / 'work' / 'iter_2.pth')
    losses = checkpoint['message_hub']['log_scalars']['train/loss']
    assert len(losses.data[0]) == 2


def test_norm_without_ratios_says_so(demo, tmp_path):
    _, text = demo(Demo(norm='BN', max_iters=1, num_train=2, num_val=2))
    assert 'BN has none' in text
    assert not (tmp_path / 'work' / 'ratios').exists()
