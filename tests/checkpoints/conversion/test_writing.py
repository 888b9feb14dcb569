"""Checkpoint and report appear together, and complete."""

import errno
from pathlib import Path

import pytest
import torch

from whiten_plugins.checkpoints.conversion.writing import write_converted

CHECKPOINT = {'state_dict': {'a': torch.ones(3)}, 'meta': {}}


def _files(folder):
    return folder / 'new' / 'r50.pth', folder / 'new' / 'r50.json'


def test_both_files_are_written_and_nothing_else(tmp_path):
    files = _files(tmp_path)
    write_converted(CHECKPOINT, 'report\n', files)
    assert torch.load(files[0], weights_only=True)['meta'] == {}
    assert files[1].read_text() == 'report\n'
    assert sorted(files[0].parent.iterdir()) == sorted(files)


@pytest.mark.parametrize(
    ('writer', 'failing'), [(torch, 'save'), (Path, 'write_text')]
)
def test_a_full_disk_leaves_what_was_there(
    tmp_path, monkeypatch, writer, failing
):
    files = _files(tmp_path)
    write_converted(CHECKPOINT, 'old', files)
    before = files[0].read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(writer, failing, full)
    with pytest.raises(OSError, match='No space'):
        write_converted({'state_dict': {}}, 'new', files)
    assert files[0].read_bytes() == before
    assert files[1].read_text() == 'old'
    assert sorted(files[0].parent.iterdir()) == sorted(files)
