"""tools/ratios.py: what it writes, and what it leaves alone."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.utils import digit_version
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from .synthetic import network, save, training

FIGURES = ('averages', 'ratios', 'depth', 'divergence', 'hard')
FILES = (
    'report.html',
    *(f'{name}.png' for name in FIGURES),
    'ratios.csv',
    'ratios.json',
)
TOOL = Path(__file__).parents[2] / 'tools' / 'ratios.py'


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the tool; returns its exit code, stdout and stderr."""

    def run(*args):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
            code = 0
        except SystemExit as exit:
            code = exit.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / 'epoch_12.pth', network())


def test_table_and_files(run, checkpoint, tmp_path):
    out = tmp_path / 'new' / 'report'
    code, text, _ = run(checkpoint, '--out', out)
    assert code == 0
    assert 'backbone.layer1.0.bn2' in text
    assert text.splitlines()[-len(FILES) :] == [
        str(out / name) for name in FILES
    ]
    assert sorted(p.name for p in out.iterdir()) == sorted(FILES)
    width, height = Image.open(out / 'ratios.png').size
    assert width > height > 500


def test_report_stands_in_the_work_directory_by_default(run, tmp_path):
    work_dir = training(tmp_path / 'work')
    code, text, _ = run(work_dir, '--format', 'csv')
    assert code == 0
    assert text.splitlines()[-1] == str(work_dir / 'ratios' / 'ratios.csv')
    code, _, _ = run(work_dir / 'iter_400.pth', '--format', 'json')
    assert code == 0
    found = sorted(path.name for path in (work_dir / 'ratios').iterdir())
    assert found == ['ratios.csv', 'ratios.json']


def test_only_the_formats_asked_for(run, checkpoint, tmp_path):
    out = tmp_path / 'out'
    code, _, _ = run(checkpoint, '--out', out, '--format', 'svg,json')
    assert code == 0
    expected = [*(f'{name}.svg' for name in FIGURES), 'ratios.json']
    assert sorted(p.name for p in out.iterdir()) == sorted(expected)
    assert all(path.stat().st_size > 1000 for path in out.iterdir())


def test_unknown_format(run, checkpoint, tmp_path):
    out = tmp_path / 'out'
    code, _, error = run(checkpoint, '--out', out, '--format', 'png,gif')
    assert code == 2
    assert "format 'gif'; known are html, png, svg, csv, json" in error
    assert not out.exists()


def test_cfg_options_without_a_config(run, checkpoint):
    code, _, error = run(checkpoint, '--cfg-options', 'norm_cfg.type=SN')
    assert code == 2
    assert '--cfg-options needs --config' in error


def test_missing_config_is_one_line(run, checkpoint, tmp_path):
    code, _, error = run(checkpoint, '--config', tmp_path / 'no.py')
    assert code == 2
    assert error == (
        f'ratios.py: error: no such config file: {tmp_path}/no.py\n'
    )


def test_several_checkpoints_stand_in_the_same_files(run, tmp_path):
    paths = [
        save(tmp_path / f'epoch_{i}.pth', network(seed=i)) for i in (1, 2)
    ]
    code, text, _ = run(*paths, '--out', tmp_path, '--format', 'json')
    assert code == 0
    content = json.loads((tmp_path / 'ratios.json').read_text())
    found = [item['path'] for item in content['checkpoints']]
    assert found == [str(path) for path in paths]
    assert all(str(path) in text for path in paths)


def test_existing_report_is_replaced_only_on_request(
    run, checkpoint, tmp_path
):
    kept, mine = tmp_path / 'notes.txt', tmp_path / 'ratios.csv'
    kept.write_text('notes')
    mine.write_text('mine')
    code, text, error = run(checkpoint, '--out', tmp_path, '--format', 'csv')
    assert (code, text) == (2, '')
    assert str(mine) in error and '--overwrite' in error
    assert mine.read_text() == 'mine'

    code, _, _ = run(
        checkpoint, '--out', tmp_path, '--format', 'csv', '--overwrite'
    )
    assert code == 0
    assert mine.read_text().startswith('checkpoint,iter,')
    assert kept.read_text() == 'notes'


@pytest.mark.parametrize('bad', ['missing.pth', 'plain.pth', 'empty'])
def test_bad_checkpoint_is_one_line_and_writes_nothing(
    bad, run, checkpoint, tmp_path
):
    torch.save({'conv1.weight': torch.ones(1)}, tmp_path / 'plain.pth')
    (tmp_path / 'empty').mkdir()
    out = tmp_path / 'out'
    code, text, error = run(checkpoint, tmp_path / bad, '--out', out)
    assert (code, text) == (2, '')
    assert error.count('\n') == 1
    assert error.startswith('ratios.py: error: ')
    assert str(tmp_path / bad) in error
    assert not out.exists()


def test_same_checkpoint_twice(run, checkpoint, tmp_path):
    code, _, error = run(checkpoint, checkpoint, '--out', tmp_path)
    assert code == 2
    assert f'given twice: {checkpoint}' in error


def test_out_is_a_file(run, checkpoint):
    code, _, error = run(checkpoint, '--out', checkpoint)
    assert code == 2
    assert 'not a folder' in error


def test_failed_write_leaves_nothing_half_written(
    run, checkpoint, tmp_path, monkeypatch
):
    out = tmp_path / 'out'
    write = Path.write_bytes

    def full_disk(path, content):
        if path.suffix == '.json':
            raise OSError('No space left on device')
        return write(path, content)

    monkeypatch.setattr(Path, 'write_bytes', full_disk)
    code, _, error = run(checkpoint, '--out', out, '--format', 'csv,json')
    assert code == 2
    assert 'No space left' in error
    assert not out.exists()


class _Toy(BaseModel):
    """A network with one hard SW layer, trained by mmengine's Runner."""

    def __init__(self, norm_cfg):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 1), MODELS.build(dict(norm_cfg, num_features=8))
        )

    def forward(self, inputs, mode):
        return {'loss': self.backbone(inputs).square().mean()}


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'),
    reason='torch.load takes allowed classes since 2.6',
)
def test_checkpoint_of_a_training_run(run, tmp_path):
    model = dict(
        type='_Toy', norm_cfg=dict(type='SW', num_pergroup=4, hard=True)
    )
    images = [dict(inputs=torch.randn(3, 4, 4)) for _ in range(4)]
    MODELS.register_module(module=_Toy)
    try:
        Runner(
            model=model,
            work_dir=str(tmp_path),
            train_dataloader=DataLoader(images, batch_size=2),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
            experiment_name='ratios',
            cfg=Config(dict(model=model)),
        ).train()
    finally:
        MODELS.module_dict.pop('_Toy')
    code, _, error = run(tmp_path / 'epoch_1.pth', '--format', 'json')
    assert (code, error) == (0, '')
    text = (tmp_path / 'ratios' / 'ratios.json').read_text()
    content = json.loads(text)
    (layer,) = content['checkpoints'][0]['layers']
    assert layer['name'] == 'backbone.1'
    assert layer['hard']
    assert sorted(layer['mean'].values()) == [0, 1]
