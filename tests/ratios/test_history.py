"""The history file: what is written is read, whatever a crash left of it."""

import json
import math

import pytest

from whiten_plugins.ratios.history import (
    HistoryLayer,
    append_snapshot,
    read_history,
    start_history,
)

LAYERS = [
    HistoryLayer('backbone.bn1', 'SN', ('in', 'ln', 'bn')),
    HistoryLayer('neck.0.bn', 'SW', ('bw', 'iw')),
]
MEAN = [[0.25, 0.25, 0.5], [0.123456789, 0.876543211]]
VAR = [[0.5, 0.25, 0.25], [1.0, 0.0]]


@pytest.fixture
def file(tmp_path):
    """A history of three snapshots."""
    path = tmp_path / 'ratio_history.jsonl'
    start_history(path, LAYERS)
    for iteration, epoch in ((0, 0), (50, 1), (100, 2)):
        append_snapshot(path, iteration, epoch, MEAN, VAR)
    return path


def test_what_is_written_is_read(file):
    history = read_history(file)
    assert history.layers == LAYERS
    assert history.iterations == [0, 50, 100]
    assert history.epochs == [0, 1, 2]
    assert history.mean == [[[0.25, 0.25, 0.5], [0.12346, 0.87654]]] * 3
    assert history.var == [VAR] * 3


def test_format_of_the_file(file):
    header, first, *_ = map(json.loads, file.read_text().splitlines())
    assert header == {
        'format': 'whiten_plugins.ratio_history',
        'version': 1,
        'layers': [
            {
                'name': 'backbone.bn1',
                'type': 'SN',
                'stats': ['in', 'ln', 'bn'],
            },
            {'name': 'neck.0.bn', 'type': 'SW', 'stats': ['bw', 'iw']},
        ],
    }
    assert first == {
        'iter': 0,
        'epoch': 0,
        'mean': [[0.25, 0.25, 0.5], [0.12346, 0.87654]],
        'var': VAR,
    }


def test_ratios_that_are_no_numbers_are_null(file):
    append_snapshot(file, 150, 3, [[math.nan] * 3, [0.5, 0.5]], VAR)
    assert '[null,null,null]' in file.read_text()
    assert all(map(math.isnan, read_history(file).mean[-1][0]))


@pytest.mark.parametrize('length', [1, 20, -1])
def test_a_last_line_without_its_end_is_ignored(file, length):
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(''.join(lines[:-1]) + lines[-1][:length])
    assert read_history(file).iterations == [0, 50]


@pytest.mark.parametrize(
    'line',
    [
        '{"iter":60,"epoch":1,"mean":[[1,0,0],[1,0]]}',
        '{"iter":60,"epoch":1,"mean":[[1,0],[1,0]],"var":[[1,0,0],[1,0]]}',
        '{"iter":60,"epoch":1,"mean":[[1,0,0]],"var":[[1,0,0],[1,0]]}',
        '{"iter":60,"epoch":1,"mean":[["a",0,0],[1,0]],"var":[[1,0,0],[1,0]]}',
        '{"iter":40,"epoch":1,"mean":[[1,0,0],[1,0]],"var":[[1,0,0],[1,0]]}',
        '{"iter":"60","epoch":1,"mean":[[1,0,0],[1,0]],"var":[[1,0,0],[1,0]]}',
        '[]',
        '{"iter":60,',
        '[' * 100_000,
        '',
    ],
    ids=lambda line: line[:75],
)
def test_other_damage_is_an_error_that_names_the_line(file, line):
    lines = file.read_text().splitlines()
    file.write_text('\n'.join([*lines[:3], line, lines[3]]) + '\n')
    with pytest.raises(ValueError, match='line 4 is not a snapshot of the 2'):
        read_history(file)


@pytest.mark.parametrize(
    'content',
    [b'', b'{"format":"whiten_pl', b'{}\n', b'[1]\n', b'no\n', b'\xff\n'],
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / 'other.jsonl'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='other.jsonl: not a ratio history'):
        read_history(path)


def test_a_later_version_is_refused(file):
    file.write_text(file.read_text().replace('"version":1', '"version":2'))
    with pytest.raises(ValueError, match='of version 2; known is'):
        read_history(file)


@pytest.mark.parametrize('end', ['', '{"iter":150,"ep'])
def test_a_resumed_training_drops_what_comes_after(file, end):
    file.write_text(file.read_text() + end)
    assert start_history(file, LAYERS, iteration=70) is None
    append_snapshot(file, 75, 2, MEAN, VAR)
    assert read_history(file).iterations == [0, 50, 75]


@pytest.mark.parametrize(
    ('layers', 'iteration'), [(LAYERS, 0), (LAYERS[:1], 70)]
)
def test_the_history_of_another_training_is_kept(file, layers, iteration):
    before = file.read_text()
    assert start_history(file, layers, iteration).name == (
        'ratio_history.1.jsonl'
    )
    assert file.with_name('ratio_history.1.jsonl').read_text() == before
    assert read_history(file).layers == layers
    assert read_history(file).iterations == []
    moved = start_history(file, layers)
    assert moved.name == 'ratio_history.2.jsonl'


def test_a_damaged_history_is_kept_when_a_training_resumes(file):
    file.write_text('damaged\n')
    moved = start_history(file, LAYERS, iteration=50)
    assert moved.read_text() == 'damaged\n'
    assert read_history(file).iterations == []
