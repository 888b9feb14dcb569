"""Checkpoint and report appear together, complete, and replace nothing."""

import os
from pathlib import Path

import pytest
import torch

from whiten_plugins.checkpoints.writing import check_free, write_files

CHECKPOINT = {'state_dict': {'a': torch.ones(3)}, 'meta': {}}


def _files(folder):
    return folder / 'new' / 'r50.pth', folder / 'new' / 'r50.json'


def test_both_files_are_written_and_nothing_else(tmp_path):
    files = _files(tmp_path)
    write_files(CHECKPOINT, 'report\n', files)
    assert torch.load(files[0], weights_only=True)['meta'] == {}
    assert files[1].read_text() == 'report\n'
    assert sorted(files[0].parent.iterdir()) == sorted(files)


@pytest.mark.parametrize('failing', ['write_bytes', 'write_text'])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, failing):
    files = _files(tmp_path)
    write_files(CHECKPOINT, 'old', files)
    before = files[0].read_bytes()

    def full(*args, **kwargs):
        raise OSError('No space left on device')

    monkeypatch.setattr(Path, failing, full)
    with pytest.raises(OSError, match='No space'):
        write_files({'state_dict': {}}, 'new', files)
    assert files[0].read_bytes() == before
    assert files[1].read_text() == 'old'
    assert sorted(files[0].parent.iterdir()) == sorted(files)


def test_files_that_are_there_are_named(tmp_path):
    files = _files(tmp_path)
    source = tmp_path / 'source.pth'
    source.touch()
    check_free(files, source, overwrite=False)
    write_files(CHECKPOINT, '', files)
    with pytest.raises(FileExistsError, match=r'r50.pth, .*r50.json: already'):
        check_free(files, source, overwrite=False)
    check_free(files, source, overwrite=True)


@pytest.mark.parametrize('link', [os.symlink, os.link])
def test_the_source_is_never_written(tmp_path, link):
    source, other = tmp_path / 'source.pth', tmp_path / 'other.pth'
    source.touch()
    link(source, other)
    for file in (source, other):
        with pytest.raises(FileExistsError, match='is SRC itself'):
            check_free([file], source, overwrite=True)


def test_a_dangling_link_is_not_replaced(tmp_path):
    link = tmp_path / 'link.pth'
    link.symlink_to(tmp_path / 'nowhere')
    with pytest.raises(FileExistsError, match='already there'):
        check_free([link], tmp_path / 'source.pth', overwrite=False)


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match='is a folder'):
        check_free([tmp_path], tmp_path / 'source.pth', overwrite=True)
