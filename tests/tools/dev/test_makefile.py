"""What `make demo` and `make demo-digits` do with what the set-up answers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Stands in for every Python: the set-up of the default lane ends with $ENDS,
# others make an environment whose Python says what it is asked to run.
PYTHON = """#!/bin/sh
case "$*" in
    tools/dev/lane.py) exit $ENDS ;;
    tools/dev/lane.py\\ quick)
        mkdir -p .venv-quick/bin; cp "$0" .venv-quick/bin/python ;;
    *) echo "$0 $*" ;;
esac
"""


def demo(folder, ends, target='demo'):
    shutil.copy(ROOT / 'Makefile', folder)
    for place in ('python', '.venv/bin/python'):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PYTHON)
        path.chmod(0o755)
    return subprocess.run(
        ['make', '--silent', '--no-print-directory', target]
        + [f'PYTHON={folder}/python'],
        cwd=folder,
        env={**os.environ, 'ENDS': str(ends), 'MAKEFLAGS': ''},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    'target, options', [('demo', ''), ('demo-digits', ' --digits')]
)
def test_finished_environment_runs_the_detector(tmp_path, target, options):
    done = demo(tmp_path, ends=0, target=target)
    assert done.stdout.rstrip() == f'.venv/bin/python tools/demo.py{options}'


def test_without_a_compiler_the_segmentor_is_shown(tmp_path):
    done = demo(tmp_path, ends=3)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == (
        '.venv-quick/bin/python examples/segment_digits.py'
    )


@pytest.mark.parametrize('ends', [1, 2])
def test_any_other_failure_ends_it(tmp_path, ends):
    done = demo(tmp_path, ends)
    assert done.returncode != 0 and done.stdout == ''


def test_no_python_is_one_line(tmp_path):
    shutil.copy(ROOT / 'Makefile', tmp_path)
    done = subprocess.run(
        ['make', '--silent', 'env', 'PYTHON=no-such-python'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert 'no no-such-python here: install CPython' in done.stderr
