"""What is read as a checkpoint, and what is refused in one clear line."""

import pickle
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.utils import digit_version

from tests.ratios.synthetic import network
from whiten_plugins.checkpoints.reading import CheckpointError, load_checkpoint

STATE = network()


@pytest.mark.parametrize(
    'content',
    [STATE, {'state_dict': STATE, 'meta': {}}, {'model': STATE}],
    ids=['plain', 'state_dict', 'model'],
)
@pytest.mark.parametrize('zipped', [True, False])
def test_state_dict_is_found_in_order(content, zipped, tmp_path):
    path = tmp_path / 'checkpoint.pth'
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    loaded = load_checkpoint(path)
    assert list(loaded.state_dict) == list(STATE)
    for key, value in STATE.items():
        torch.testing.assert_close(loaded.state_dict[key], value)
    assert loaded.config is None


def test_prefix_of_data_parallel_wrappers_is_dropped(tmp_path):
    path = tmp_path / 'checkpoint.pth'
    torch.save({f'module.{k}': v for k, v in STATE.items()}, path)
    assert list(load_checkpoint(path).state_dict) == list(STATE)


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'),
    reason='torch.load takes allowed classes since 2.6',
)
def test_training_checkpoint_with_message_hub(tmp_path):
    hub = MessageHub('ratios-checkpoint')
    hub.update_scalar('train/loss', 0.5)
    path = tmp_path / 'epoch_1.pth'
    content = {
        'meta': {'cfg': 'model = dict()', 'epoch': 1},
        'state_dict': STATE,
        'message_hub': hub.state_dict(),
        'optimizer': torch.optim.AdamW([torch.ones(1)]).state_dict(),
    }
    torch.save(content, path)
    loaded = load_checkpoint(path)
    assert list(loaded.state_dict) == list(STATE)
    assert loaded.config == 'model = dict()'


class _WritesAFile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_the_file_is_executed(tmp_path):
    path, victim = tmp_path / 'bad.pth', tmp_path / 'victim'
    torch.save({'state_dict': STATE, 'meta': _WritesAFile(victim)}, path)
    with pytest.raises(CheckpointError, match="save its 'state_dict' alone"):
        load_checkpoint(path)
    assert not victim.exists()


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'\xff\xd8\xff\xe0 a picture',
        b'epoch_12.pth\n',
        pickle.dumps({'a': 1}, protocol=4),
        b'PK\x03\x04 not really a zip',
    ],
    ids=['empty', 'picture', 'text', 'pickle', 'zip'],
)
def test_other_files_are_not_checkpoints(content, tmp_path):
    path = tmp_path / 'other.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='not a PyTorch checkpoint'):
        load_checkpoint(path)


def test_truncated_checkpoint(tmp_path):
    path = tmp_path / 'half.pth'
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match='damaged'):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [([1, 2], 'holds a list'), ({'epoch': 3}, 'no tensors')],
)
def test_checkpoint_without_weights(content, message, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(CheckpointError, match='no such file'):
        load_checkpoint(tmp_path / 'missing.pth')
    with pytest.raises(CheckpointError, match='is a directory'):
        load_checkpoint(tmp_path)


AVERAGED = {'bn.weight': torch.zeros(2)}


def test_weights_are_chosen_by_name(tmp_path):
    path = tmp_path / 'a.pth'
    optimizer = {'state': {0: {'step': torch.ones(1)}}, 'param_groups': []}
    content = {'optimizer': optimizer, 'state_dict_ema': AVERAGED}
    torch.save({'state_dict': STATE, **content}, path)
    usual = load_checkpoint(path)
    assert usual.state_dict.keys() == STATE.keys()
    assert (usual.weights, usual.others) == ('state_dict', ('state_dict_ema',))
    chosen = load_checkpoint(path, weights='state_dict_ema')
    assert chosen.state_dict.keys() == AVERAGED.keys()
    assert (chosen.weights, chosen.others) == (
        'state_dict_ema',
        ('state_dict',),
    )
    with pytest.raises(CheckpointError, match=r"'x'; .*: 'state_dict', 's"):
        load_checkpoint(path, weights='x')
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="by name: 'state_dict_ema'$"):
        load_checkpoint(path)


def test_keys_are_listed_where_no_tensors_are(tmp_path):
    torch.save({f'key{i}': i for i in range(9)}, tmp_path / 'a.pth')
    message = "its keys are 'key0', .*'key4' and 4 more$"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / 'a.pth')


def test_safetensors(tmp_path, monkeypatch):
    path = tmp_path / 'a.safetensors'
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'safetensors', None)
        path.write_bytes(b'')
        with pytest.raises(CheckpointError, match='pip install safetensors'):
            load_checkpoint(path)
    safetensors = pytest.importorskip('safetensors.torch')
    safetensors.save_file({'module.bn.weight': torch.ones(2)}, path)
    assert list(load_checkpoint(path).state_dict) == ['bn.weight']
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match='damaged'):
        load_checkpoint(path)
