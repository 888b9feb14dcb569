"""Files appear together and replace nothing unasked."""

import os
from pathlib import Path

import pytest

from whiten_plugins.utils.files import check_free, write_files


def test_files_that_are_there_are_named(tmp_path):
    files = tmp_path / 'new' / 'r50.pth', tmp_path / 'new' / 'r50.json'
    source = tmp_path / 'source.pth'
    source.touch()
    check_free(files, False, source)
    write_files(dict.fromkeys(files, Path.touch))
    with pytest.raises(FileExistsError, match=r'r50.pth, .*r50.json: already'):
        check_free(files, False, source)
    check_free(files, True, source)


@pytest.mark.parametrize('link', [os.symlink, os.link])
def test_the_source_is_never_written(tmp_path, link):
    source, other = tmp_path / 'source.pth', tmp_path / 'other.pth'
    source.touch()
    link(source, other)
    for file in (source, other):
        with pytest.raises(FileExistsError, match='is SRC itself'):
            check_free([file], True, source, source_name='SRC')


def test_a_dangling_link_is_not_replaced(tmp_path):
    link = tmp_path / 'link.pth'
    link.symlink_to(tmp_path / 'nowhere')
    with pytest.raises(FileExistsError, match='already there'):
        check_free([link], False, tmp_path / 'source.pth')


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match='is a folder'):
        check_free([tmp_path], True, tmp_path / 'source.pth')
