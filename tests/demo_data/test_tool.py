"""tools/make_mini_dataset.py: exit codes and the one line it prints."""

import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'make_mini_dataset.py'
SMALL = '--format coco --num-train 2 --num-val 1 --size 64 64'.split()


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the tool; returns its exit code, stdout and stderr."""

    def run(*args):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, args)])
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
            code = 0
        except SystemExit as exit:
            code = exit.code
        return code, *capsys.readouterr()

    return run


def test_made_then_used_again(run, tmp_path):
    out = tmp_path / 'mini'
    code, text, _ = run('--out', out, *SMALL)
    assert code == 0
    assert f'{out}: made' in text.replace('\n', '')
    code, text, _ = run('--out', out, *SMALL)
    assert code == 0
    assert 'used again' in text


def test_other_data_set_is_one_line_and_exit_code_2(run, tmp_path):
    out = tmp_path / 'mini'
    run('--out', out, *SMALL)
    code, _, error = run('--out', out, *SMALL, '--seed', 5)
    assert code == 2
    assert error.count('\n') == 1
    assert 'seed 0 instead of 5' in error


@pytest.mark.parametrize(
    'bad',
    [
        ['--num-train', '0'],
        ['--num-val', 'many'],
        ['--size', '160'],
        ['--size', '8', '8'],
        ['--format', 'voc'],
        ['--seed', '-1'],
    ],
    ids=' '.join,
)
def test_bad_argument_is_exit_code_2_without_a_folder(run, tmp_path, bad):
    code, _, error = run('--out', tmp_path / 'mini', *SMALL, *bad)
    assert code == 2
    assert 'error: ' in error
    assert bad[-1] in error or bad[0] in error
    assert list(tmp_path.iterdir()) == []
