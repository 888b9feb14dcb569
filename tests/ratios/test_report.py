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

from whiten_plugins.ratios.report import FILES

from .synthetic import network, save

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
    assert text.splitlines()[-3:] == [str(out / name) for name in FILES]
    assert sorted(p.name for p in out.iterdir()) == sorted(FILES)
    width, height = Image.open(out / 'ratios.png').size
    assert width > height > 500


def test_several_checkpoints_stand_in_the_same_files(run, tmp_path):
    paths = [
        save(tmp_path / f'epoch_{i}.pth', network(seed=i)) for i in (1, 2)
    ]
    code, text, _ = run(*paths, '--out', tmp_path)
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
    code, text, error = run(checkpoint, '--out', tmp_path)
    assert (code, text) == (2, '')
    assert str(mine) in error and '--overwrite' in error
    assert mine.read_text() == 'mine'
    assert not (tmp_path / 'ratios.png').exists()

    code, _, _ = run(checkpoint, '--out', tmp_path, '--overwrite')
    assert code == 0
    assert mine.read_text().startswith('checkpoint,layer,')
    assert kept.read_text() == 'notes'


@pytest.mark.parametrize('bad', ['missing.pth', 'plain.pth', '.'])
def test_bad_checkpoint_is_one_line_and_writes_nothing(
    bad, run, checkpoint, tmp_path
):
    torch.save({'conv1.weight': torch.ones(1)}, tmp_path / 'plain.pth')
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
        if path.suffix == '.png':
            raise OSError('No space left on device')
        return write(path, content)

    monkeypatch.setattr(Path, 'write_bytes', full_disk)
    code, _, error = run(checkpoint, '--out', out)
    assert code == 2
    assert 'No space left' in error
    assert list(out.iterdir()) == []


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
    code, _, error = run(tmp_path / 'epoch_1.pth', '--out', tmp_path)
    assert (code, error) == (0, '')
    content = json.loads((tmp_path / 'ratios.json').read_text())
    (layer,) = content['checkpoints'][0]['layers']
    assert layer['name'] == 'backbone.1'
    assert layer['hard']
    assert sorted(layer['mean'].values()) == [0, 1]
