"""Checkpoints on a disk that is full."""

import errno

import pytest
import torch

from whiten_plugins.checkpoints.writing import save_torch


class _Full:
    """A disk with room for a number of writes."""

    def __init__(self, room):
        self.room = room

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def write(self, data):
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return len(data)

    def flush(self):
        self.write(b'')


@pytest.mark.parametrize('room', range(0, 12, 3))
def test_a_full_disk_is_named_with_the_file(room, tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    monkeypatch.setattr(type(path), 'open', lambda *_: _Full(room))
    with pytest.raises(OSError) as caught:
        save_torch({'weight': torch.ones(1000)}, path)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)


def test_what_cannot_be_pickled_is_no_error_of_the_disk(tmp_path):
    with pytest.raises(Exception, match='pickle') as caught:
        save_torch({'f': lambda: 0}, tmp_path / 'a.pth')
    assert not isinstance(caught.value, OSError)
