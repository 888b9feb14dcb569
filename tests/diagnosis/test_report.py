"""The network of a config on its training images; the files; the page."""

import json
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from rich.console import Console
from torch import nn

from tests.training import Images
from whiten_plugins.checkpoints.reading import CheckpointError
from whiten_plugins.cli import main
from whiten_plugins.config.errors import ConfigError
from whiten_plugins.diagnosis import (
    diagnose,
    diagnose_config,
    write_diagnosis,
)
from whiten_plugins.diagnosis.page import render
from whiten_plugins.norms import SN

pytest.importorskip('mmcv.cnn')  # with it BatchNorm2d is BN in configs

DATASETS.register_module(module=Images, name='DiagnosedImages', force=True)


@MODELS.register_module(force=True)
class DiagnosedNetwork(BaseModel):
    def __init__(self, channels=8):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3)
        self.norm = SN(channels)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        y = self.norm(self.conv(inputs))
        return dict(loss=y.square().mean()) if mode == 'loss' else [y]


def config(**settings):
    return Config(
        dict(
            model=dict(type='DiagnosedNetwork'),
            train_dataloader=dict(
                batch_size=3,
                num_workers=0,
                dataset=dict(type='DiagnosedImages'),
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
            ),
        )
        | settings
    )


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save(DiagnosedNetwork().state_dict(), path)
    return path


def test_a_config_and_a_checkpoint(checkpoint):
    found = diagnose_config(
        config(), checkpoint, num_batches=2, device='cpu', backward=True
    )
    (norm,) = found.norms
    assert (norm.name, norm.passes, norm.samples) == ('norm', 2, 3)
    assert norm.gradient.at_output > 0
    assert found.about['weights'] == str(checkpoint)
    assert found.about['images a batch'] == 3
    again = diagnose_config(
        config(), checkpoint, num_batches=2, device='cpu'
    ).norms[0]
    assert again.before.condition == norm.before.condition


def test_no_more_batches_than_there_are_images():
    found = diagnose_config(config(), num_batches=99, device='cpu')
    assert found.batches == 4  # 12 images
    assert found.about['weights'] == 'as a training starts'


def test_mistakes_are_one_line(checkpoint, tmp_path):
    with pytest.raises(ConfigError, match='no train_dataloader'):
        diagnose_config(config(train_dataloader=None), device='cpu')
    with pytest.raises(ValueError, match='at least 1, got 0'):
        diagnose_config(config(), num_batches=0)
    with pytest.raises(ConfigError, match="device 'gpu7' cannot be used"):
        diagnose_config(config(), device='gpu7')
    with pytest.raises(CheckpointError, match='no such file'):
        diagnose_config(config(), tmp_path / 'none.pth', device='cpu')
    wider = config(model=dict(type='DiagnosedNetwork', channels=4))
    with pytest.raises(CheckpointError, match='size mismatch'):
        diagnose_config(wider, checkpoint, device='cpu')
    broken = config()
    broken.train_dataloader.dataset.type = 'NoSuchImages'
    with pytest.raises(ConfigError, match='training images .*NoSuchImages'):
        diagnose_config(broken, device='cpu')


@pytest.fixture(scope='module')
def found():
    model = nn.Sequential(
        nn.Conv2d(3, 80, 1),
        nn.BatchNorm2d(80),
        nn.Conv2d(80, 8, 1),
        nn.GroupNorm(2, 8),
    )
    with torch.no_grad():
        model[0].weight[7] = 0
    return diagnose(model, [torch.randn(4, 3, 6, 6) for _ in range(2)])


def test_files_and_table(found, tmp_path):
    out = tmp_path / 'new' / 'folder'
    console = Console(record=True, width=200)
    files = write_diagnosis(found, out, console=console)
    assert sorted(file.name for file in files) == [
        *('diagnosis.html', 'diagnosis.json')
    ]
    assert sorted(out.iterdir()) == sorted(files)
    content = json.loads((out / 'diagnosis.json').read_text())
    assert [norm['name'] for norm in content['norms']] == ['1', '3']
    text = console.export_text()
    assert 'BN' in text
    assert 'found: 1 (BN): 1 of 80 channels do not vary (7)' in text


def test_nothing_is_overwritten_unasked(found, tmp_path):
    quiet = Console(quiet=True)
    (tmp_path / 'diagnosis.json').write_text('mine')
    with pytest.raises(FileExistsError, match='diagnosis.json: already there'):
        write_diagnosis(found, tmp_path, console=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ['diagnosis.json']
    assert (tmp_path / 'diagnosis.json').read_text() == 'mine'
    write_diagnosis(found, tmp_path, overwrite=True, console=quiet)
    assert json.loads((tmp_path / 'diagnosis.json').read_text())
    with pytest.raises(NotADirectoryError, match='is a file'):
        write_diagnosis(found, tmp_path / 'diagnosis.json', console=quiet)
    assert write_diagnosis(found, console=quiet) == []


def test_the_page_needs_no_network_and_holds_all_norms(found):
    page = render(found)
    assert not re.search(r'(src|href)\s*=|url\(|https?://(?!www\.w3)', page)
    data = json.loads(
        re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
    )
    assert [layer['name'] for layer in data] == ['1', '3']
    assert data[0]['before']['size'] == 40  # 80 channels in pairs
    assert data[1]['after']['size'] == 8
    assert 'prefers-color-scheme: dark' in page
    assert '1 of 80 channels do not vary' in page


def test_a_name_cannot_close_the_script():
    model = nn.Sequential()
    model.add_module('</script><b>', nn.BatchNorm2d(3))
    page = render(diagnose(model, [torch.randn(2, 3, 4, 4)]))
    assert '</script><b>' not in page
    assert page.count('<script') == page.count('</script>') == 2


CONFIG = """
model = dict(type='DiagnosedNetwork')
train_dataloader = dict(
    batch_size=3,
    num_workers=0,
    dataset=dict(type='DiagnosedImages'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
"""


def test_the_command(checkpoint, tmp_path, capsys):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    out = tmp_path / 'out'
    arguments = ['diagnose', str(path), str(checkpoint), '--device', 'cpu']
    arguments += ['--batches', '2', '--out', str(out), '--backward']
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert 'norm' in printed and str(out / 'diagnosis.json') in printed
    content = json.loads((out / 'diagnosis.json').read_text())
    assert content['batches'] == 2
    assert content['norms'][0]['gradient']['at_output'] > 0
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert 'already there' in capsys.readouterr().err


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--batches', '0'], '--batches must be at least 1, got 0'),
        (['--device', 'gpu7'], "device 'gpu7' cannot be used"),
        (['none.pth'], 'none.pth: no such file'),
    ],
)
def test_the_command_ends_in_one_line(arguments, message, tmp_path, capsys):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    with pytest.raises(SystemExit) as end:
        main(['diagnose', str(path), *arguments])
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('whiten diagnose: error: ') and message in last
