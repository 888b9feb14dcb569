"""Files that fuzzing found to be read too trustingly, and their like."""

import json
import zipfile

import pytest
import torch

from tests.ratios.synthetic import network
from tests.reliability.fuzzing import HISTORY, MODEL, save_history, save_keras
from whiten_plugins.checkpoints.conversion.errors import ConversionError
from whiten_plugins.checkpoints.conversion.keras import read_keras
from whiten_plugins.checkpoints.reading import CheckpointError, load_checkpoint
from whiten_plugins.demo_data import manifest
from whiten_plugins.ratios.history import read_history


@pytest.mark.parametrize(
    'tensor',
    [
        torch.ones(1).expand(2**20, 2**20),
        torch.zeros(3, device='meta'),
        torch.eye(3).to_sparse(),
    ],
    ids=['strides of 0', 'meta', 'sparse'],
)
def test_a_tensor_without_a_value_for_each_element(tensor, tmp_path):
    torch.save({'w': tensor}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='not a plain tensor'):
        load_checkpoint(tmp_path / 'a.pth')


def test_a_compressed_archive_is_not_read(tmp_path):
    torch.save(network(), tmp_path / 'a.pth')
    with zipfile.ZipFile(tmp_path / 'a.pth') as old:
        with zipfile.ZipFile(
            tmp_path / 'b.pth', 'w', zipfile.ZIP_DEFLATED
        ) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
    with pytest.raises(CheckpointError, match='it is compressed'):
        load_checkpoint(tmp_path / 'b.pth')


def test_names_that_are_no_text_are_left_out(tmp_path):
    state = {1: torch.ones(1), ('a', 'b'): torch.ones(1)}
    torch.save(state | {'w': torch.ones(1)}, tmp_path / 'a.pth')
    assert list(load_checkpoint(tmp_path / 'a.pth').state_dict) == ['w']
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='its keys are int, tuple'):
        load_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('name', [7, ['x'], None, '\x1b[2J'])
@pytest.mark.parametrize('key', ['name', 'type'])
def test_a_history_names_its_layers(key, name, tmp_path):
    header = {**HISTORY[0], 'layers': [{**HISTORY[0]['layers'][0], key: name}]}
    with pytest.raises(ValueError, match='not a ratio history'):
        read_history(save_history(tmp_path, [header]))


def test_a_ratio_beyond_all_bounds(tmp_path):
    snapshot = {**HISTORY[1], 'mean': [[10**400, 0.5]]}
    with pytest.raises(ValueError, match='line 2 is not a snapshot'):
        read_history(save_history(tmp_path, [HISTORY[0], snapshot]))


def _changed(shape):
    model = json.loads(json.dumps(MODEL))
    model['weightsManifest'][0]['weights'][0]['shape'] = shape
    return model


@pytest.mark.parametrize(
    'model',
    [
        {**MODEL, 'modelTopology': ['x']},
        _changed([1, 3, 4]),
        _changed([float('inf')]),
        _changed([2**62, 2**62]),
    ],
    ids=['topology', 'kernel of three dimensions', 'infinite', 'absurd'],
)
def test_a_keras_model_that_is_none(model, tmp_path):
    with pytest.raises(ConversionError):
        read_keras(save_keras(tmp_path, model))


def test_a_shard_that_is_a_folder_or_a_pipe(tmp_path):
    path = save_keras(tmp_path)
    (tmp_path / 'shard1').unlink()
    (tmp_path / 'shard1').mkdir()
    with pytest.raises(ConversionError, match='is not a file'):
        read_keras(path)


def test_a_deeply_nested_manifest_is_none(tmp_path):
    (tmp_path / manifest.NAME).write_text('[' * 100_000)
    with pytest.raises(FileExistsError, match='not a mini data set'):
        manifest.is_made(tmp_path, {})
