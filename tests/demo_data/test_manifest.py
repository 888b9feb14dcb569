"""The manifest: the data set asked for is known from anything else."""

import pytest

from whiten_plugins.demo_data import manifest

ARGUMENTS = dict(format='coco', seed=0)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / '1.jpg').write_bytes(b'pixels')
    manifest.write(tmp_path, ARGUMENTS)
    return tmp_path


def test_unchanged_data_set_is_known(folder):
    assert manifest.is_made(folder, ARGUMENTS)


def test_missing_and_empty_folders_are_free(tmp_path):
    assert not manifest.is_made(tmp_path, ARGUMENTS)
    assert not manifest.is_made(tmp_path / 'new', ARGUMENTS)


def test_other_arguments_are_named(folder):
    with pytest.raises(FileExistsError, match='seed 0 instead of 1'):
        manifest.is_made(folder, dict(format='coco', seed=1))


def test_other_version_is_named(folder, monkeypatch):
    monkeypatch.setattr(manifest, 'VERSION', manifest.VERSION + 1)
    with pytest.raises(FileExistsError, match='version 1 instead of 2'):
        manifest.is_made(folder, ARGUMENTS)


@pytest.mark.parametrize(
    ('change', 'name'),
    [
        (lambda root: (root / 'images/1.jpg').write_bytes(b'x'), '1.jpg'),
        (lambda root: (root / 'images/1.jpg').unlink(), '1.jpg'),
        (lambda root: (root / 'images/mine.txt').touch(), 'mine.txt'),
    ],
    ids=['changed', 'removed', 'added'],
)
def test_damage_is_named(folder, change, name):
    change(folder)
    with pytest.raises(FileExistsError, match=f'images/{name} was changed'):
        manifest.is_made(folder, ARGUMENTS)


@pytest.mark.parametrize(
    'content', ['', '[]', '{"version": 1}', '{"version": 1, "arguments": 3}']
)
def test_broken_manifest_is_no_data_set(folder, content):
    (folder / manifest.NAME).write_text(content)
    with pytest.raises(FileExistsError, match='not a mini data set'):
        manifest.is_made(folder, ARGUMENTS)


def test_file_is_no_data_set(tmp_path):
    path = tmp_path / 'notes'
    path.write_text('mine')
    with pytest.raises(FileExistsError, match='not a mini data set'):
        manifest.is_made(path, ARGUMENTS)
