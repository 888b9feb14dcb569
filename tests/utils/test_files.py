"""Files appear together and replace nothing unasked."""

import errno
import os
from functools import partial
from operator import methodcaller
from pathlib import Path

import pytest

from whiten_plugins.utils import files as module
from whiten_plugins.utils.files import (
    check_folder,
    check_free,
    staging_folder,
    write_files,
)


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


def test_a_device_is_not_replaced():
    with pytest.raises(FileExistsError, match='/dev/null: is a device'):
        check_free([Path('/dev/null')], True)


def test_a_file_in_the_place_of_a_folder_is_found_before(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(NotADirectoryError, match='file: is a file, not a'):
        check_free([tmp_path / 'file' / 'new' / 'a.pth'], False)


@pytest.mark.parametrize('code', [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, code):
    def refuse(dir):
        raise OSError(code, os.strerror(code), f'{dir}/tmpabc')

    monkeypatch.setattr(module.tempfile, 'TemporaryFile', refuse)
    folder = tmp_path / 'new'
    with pytest.raises(OSError) as caught:
        check_free([folder / 'a.pth'], False)
    assert (caught.value.errno, caught.value.filename) == (code, str(folder))


def test_what_does_not_fit_is_found_before(tmp_path):
    with pytest.raises(OSError, match='about 1000000000000.0 MB are needed'):
        check_folder(tmp_path / 'new', size=10**18)
    assert not list(tmp_path.iterdir())


def test_parts_that_a_writer_adds_come_along(tmp_path):
    def write(path):
        path.with_name('model.onnx.data').write_text('weights')
        path.write_text('graph')

    out = tmp_path / 'new' / 'model.onnx'
    data = out.with_name('model.onnx.data')
    assert write_files({out: write}) == [data, out]
    assert data.read_text() == 'weights'
    data.write_text('mine')
    with pytest.raises(FileExistsError, match='model.onnx.data: already'):
        write_files({out: write})
    assert data.read_text() == 'mine'
    write_files({out: write}, overwrite=True)
    assert data.read_text() == 'weights'
    assert sorted(os.listdir(tmp_path / 'new')) == [out.name, data.name]


def failing_move(monkeypatch, name, error):
    move = os.replace

    def replace(source, target):
        if Path(target).name == name and Path(source).parent.name == 'made':
            raise error
        move(source, target)

    monkeypatch.setattr(module.os, 'replace', replace)


@pytest.mark.parametrize(
    'error', [OSError(errno.ENOSPC, 'No space'), KeyboardInterrupt()]
)
def test_all_files_are_replaced_or_none(tmp_path, monkeypatch, error):
    first, second = tmp_path / 'a', tmp_path / 'b'
    first.write_text('old')
    failing_move(monkeypatch, 'b', error)
    writers = {
        first: methodcaller('write_text', 'new'),
        second: methodcaller('write_text', 'new'),
    }
    with pytest.raises(type(error)):
        write_files(writers)
    assert first.read_text() == 'old'
    assert os.listdir(tmp_path) == ['a']


def test_no_empty_folder_is_left(tmp_path, monkeypatch):
    failing_move(monkeypatch, 'b', OSError(errno.EIO, 'I/O'))
    with pytest.raises(OSError) as caught:
        write_files({tmp_path / 'x' / 'y' / 'b': Path.touch})
    assert caught.value.filename == str(tmp_path / 'x' / 'y')
    assert not list(tmp_path.iterdir())


def test_a_failed_writer_names_the_file_that_was_asked_for(tmp_path):
    def write(path):
        raise OSError(errno.ENOSPC, 'No space left on device', str(path))

    def read(path):
        (tmp_path / 'missing').read_text()

    out = tmp_path / 'new' / 'a.pth'
    for function, name in ((write, out), (read, tmp_path / 'missing')):
        with pytest.raises(OSError) as caught:
            write_files({out: function})
        assert caught.value.filename == str(name)
    assert not list(tmp_path.iterdir())


def test_files_without_links_are_replaced_too(tmp_path, monkeypatch):
    def link(*args, **kwargs):
        raise OSError(errno.EPERM, 'no links')

    def replace(source, target, move=os.replace):
        assert Path(target).exists()  # also if it ended here
        move(source, target)

    monkeypatch.setattr(module.os, 'link', link)
    monkeypatch.setattr(module.os, 'replace', replace)
    file = tmp_path / 'a'
    file.write_text('old')
    write_files({file: partial(Path.write_text, data='new')})
    assert file.read_text() == 'new'
    assert os.listdir(tmp_path) == ['a']


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / '.writing-left'
    left.mkdir()
    (left / 'half').touch()
    with staging_folder(tmp_path, '.writing-') as used:
        write_files({tmp_path / 'a': Path.touch})
        assert sorted(os.listdir(tmp_path)) == [used.name, 'a']
    assert os.listdir(tmp_path) == ['a']
