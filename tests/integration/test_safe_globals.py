"""mmengine's training checkpoints load weights-only, and nothing more."""

import collections
import pickle
import subprocess

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.utils import digit_version

from whiten_plugins.checkpoints.reading import load_checkpoint
from whiten_plugins.integration import safe_globals

pytestmark = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'),
    reason='torch.load is weights-only by default since 2.6',
)


@pytest.fixture(autouse=True)
def as_after_import():
    """OneDL's loader may have taken back what importing allowed."""
    safe_globals.install()


def _round_trip(obj, path):
    torch.save(obj, path)
    return torch.load(path, weights_only=True)


def test_message_hub_of_a_training_run_loads(tmp_path):
    hub = MessageHub('safe-globals')
    for step, loss in enumerate((3.0, 2.0, 1.0)):
        hub.update_scalar('train/loss', loss)
        hub.update_info('iter', step)
    hub.update_info('best', np.float64(0.5))

    loaded = _round_trip(hub.state_dict(), tmp_path / 'hub.pth')

    history = loaded['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.mean() == 2.0
    assert history.statistics('max') == 3.0
    assert loaded['runtime_info'] == {'iter': 2, 'best': 0.5}


@pytest.mark.parametrize('dtype', ['bool', 'int64', 'float32', 'float64'])
def test_numpy_arrays_and_scalars_load(dtype, tmp_path):
    array = np.array([0, 1, 1], dtype)
    loaded = _round_trip([array, array[1]], tmp_path / 'array.pth')
    np.testing.assert_array_equal(loaded[0], array)
    assert loaded[0].dtype == array.dtype
    assert loaded[1] == array[1]


class _CallOnLoad:
    def __init__(self, func, *args):
        self.func, self.args = func, args

    def __reduce__(self):
        return self.func, self.args


@pytest.mark.parametrize(
    'stranger',
    [
        collections.deque([1]),
        _CallOnLoad(subprocess.getoutput, 'true'),
        _CallOnLoad(getattr, HistoryBuffer, '__init__'),
        _CallOnLoad(getattr, np.ndarray, '__reduce__'),
    ],
    ids=['class', 'function', 'getattr-name', 'getattr-owner'],
)
def test_anything_else_is_still_refused(stranger, tmp_path):
    torch.save(stranger, tmp_path / 'stranger.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'stranger.pth', weights_only=True)


def test_own_loads_work_after_another_loader_took_the_classes_back(tmp_path):
    torch.save(
        {'state_dict': {'w': torch.ones(1)}, 'log': HistoryBuffer([1.0], [1])},
        tmp_path / 'trained.pth',
    )
    before = torch.serialization.get_safe_globals()
    with torch.serialization.safe_globals(safe_globals.training_globals()):
        pass
    left = torch.serialization.get_safe_globals()
    assert HistoryBuffer not in left
    loaded = load_checkpoint(tmp_path / 'trained.pth')
    assert list(loaded.state_dict) == ['w']
    assert set(torch.serialization.get_safe_globals()) == set(left)
    torch.serialization.add_safe_globals(before)
    load_checkpoint(tmp_path / 'trained.pth')
    assert set(torch.serialization.get_safe_globals()) == set(before)


def test_array_names_of_both_numpy_generations_are_known():
    names = {f[1] for f in safe_globals.training_globals() if type(f) is tuple}
    assert 'numpy.core.multiarray._reconstruct' in names
    assert 'numpy._core.multiarray._reconstruct' in names
