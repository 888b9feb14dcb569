"""Making a data set: deterministic, all or nothing, nothing overwritten."""

import numpy as np
import pytest
from PIL import Image

from whiten_plugins.demo_data import digits, make, make_mini_dataset

SMALL = dict(num_train=3, num_val=2, size=(64, 80))


def contents(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


@pytest.mark.parametrize('format', make.FORMATS)
def test_same_seed_gives_the_same_bytes(tmp_path, format):
    for name in 'ab':
        assert make_mini_dataset(tmp_path / name, format, **SMALL)
    one, two = contents(tmp_path / 'a'), contents(tmp_path / 'b')
    assert one == two
    assert len(one) > 5


def test_other_seed_gives_other_images(tmp_path):
    for seed in (0, 1):
        make_mini_dataset(tmp_path / str(seed), seed=seed, **SMALL)
    one, two = contents(tmp_path / '0'), contents(tmp_path / '1')
    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())


def test_all_images_of_a_data_set_differ(tmp_path):
    make_mini_dataset(tmp_path / 'mini', **SMALL)
    files = contents(tmp_path / 'mini')
    assert len(set(files.values())) == len(files)


def test_larger_data_set_begins_with_the_smaller(tmp_path):
    make_mini_dataset(tmp_path / 'a', **SMALL)
    make_mini_dataset(tmp_path / 'b', **dict(SMALL, num_train=5))
    one, two = contents(tmp_path / 'a'), contents(tmp_path / 'b')
    images = [name for name in one if name.endswith('.jpg')]
    assert len(images) == 5
    assert all(one[name] == two[name] for name in images)


def test_formats_show_the_same_scenes(tmp_path):
    images = {
        'coco': 'val2017/000000000001.jpg',
        'ade20k': 'images/validation/ADE_val_00000001.jpg',
        'cityscapes': 'leftImg8bit/val/mini/'
        'mini_000001_000000_leftImg8bit.png',
    }
    pixels = []
    for format, name in images.items():
        make_mini_dataset(tmp_path / format, format, **SMALL)
        pixels.append(np.asarray(Image.open(tmp_path / format / name)))
    coco, ade20k, cityscapes = pixels
    assert np.array_equal(coco, ade20k)
    assert np.abs(coco - cityscapes.astype(float)).mean() < 4  # JPEG


def test_finished_data_set_is_used_again(tmp_path):
    out = tmp_path / 'mini'
    assert make_mini_dataset(out, **SMALL)
    before = {path: path.stat().st_mtime_ns for path in out.rglob('*')}
    assert not make_mini_dataset(out, **SMALL)
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob('*')}


def test_empty_folder_is_filled(tmp_path):
    assert make_mini_dataset(tmp_path, **SMALL)
    assert (tmp_path / 'train2017').is_dir()


def test_missing_parents_are_made(tmp_path):
    out = tmp_path / 'data' / 'sets' / 'mini'
    assert make_mini_dataset(out, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ['data']


def test_folder_is_as_readable_as_its_parent(tmp_path):
    make_mini_dataset(tmp_path / 'mini', **SMALL)
    (tmp_path / 'plain').mkdir()
    modes = {p.name: p.stat().st_mode for p in tmp_path.iterdir()}
    assert modes['mini'] == modes['plain']


def test_users_folder_is_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='not a mini data set'):
        make_mini_dataset(tmp_path, **SMALL)
    assert contents(tmp_path) == {'thesis.txt': b'mine'}


def test_folder_filled_meanwhile_is_left_alone(tmp_path, monkeypatch):
    out = tmp_path / 'mini'
    compose = digits.compose_scene

    def compose_beside_a_user(*args):
        out.mkdir(exist_ok=True)
        (out / 'thesis.txt').write_text('mine')
        return compose(*args)

    monkeypatch.setattr(digits, 'compose_scene', compose_beside_a_user)
    with pytest.raises(OSError, match='not empty'):
        make_mini_dataset(out, **SMALL)
    assert contents(tmp_path) == {'mini/thesis.txt': b'mine'}


@pytest.mark.parametrize('error', [OSError('disk full'), KeyboardInterrupt()])
def test_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch, error):
    compose, calls = digits.compose_scene, []

    def fail_on_the_fourth(*args):
        calls.append(args)
        if len(calls) == 4:
            raise error
        return compose(*args)

    monkeypatch.setattr(digits, 'compose_scene', fail_on_the_fourth)
    with pytest.raises(type(error)):
        make_mini_dataset(tmp_path / 'data' / 'mini', **SMALL)
    assert len(calls) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        (dict(format='voc'), "one of coco, ade20k, cityscapes, got 'voc'"),
        (dict(num_train=0), 'num_train must be at least 1, got 0'),
        (dict(num_val=-2), 'num_val must be at least 1, got -2'),
        (dict(seed=-1), 'seed must be at least 0, got -1'),
        (dict(size=(160, 32)), r'at least 64 pixels, got \(160, 32\)'),
        (dict(size=(160,)), r'a height and a width .* got \(160,\)'),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_bad_argument_is_named(tmp_path, argument, message):
    with pytest.raises(ValueError, match=message):
        make_mini_dataset(tmp_path / 'mini', **{**SMALL, **argument})
    assert list(tmp_path.iterdir()) == []
