"""tools/dev/config_tables.py: what repeats the table of intent is made."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'dev' / 'config_tables.py'


def run(*args):
    return subprocess.run(
        [sys.executable, TOOL, *args], capture_output=True, text=True
    )


@pytest.fixture
def copy(tmp_path):
    """The configs and the index, to change."""
    shutil.copytree(ROOT / 'configs', tmp_path / 'configs')
    shutil.copy(ROOT / 'model-index.yml', tmp_path)
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_is_checked_in_is_up_to_date():
    done = run('--check')
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    'file, old, new',
    [
        ('configs/sn/README.md', '| 39.3 |', '| 39.4 |'),
        ('configs/gw/metafile.yml', 'box AP: 44.41', 'box AP: 44.5'),
        ('model-index.yml', '- configs/bw/metafile.yml\n', ''),
    ],
)
def test_an_edited_file_is_named_and_made_anew(copy, file, old, new):
    edit(copy / file, old, new)
    done = run('--root', copy, '--check')
    assert done.returncode == 1
    assert done.stderr.startswith(f'{file}: not what')
    assert run('--root', copy).stdout == f'written: {file}\n'
    assert (copy / file).read_text() == (ROOT / file).read_text()


def test_a_new_number_reaches_readme_and_metafile(copy):
    edit(copy / 'configs/intent.csv', ',38.13,', ',12.34,')
    assert run('--root', copy).returncode == 0
    for file in ('README.md', 'metafile.yml'):
        assert '12.34' in (copy / 'configs/gw' / file).read_text()


@pytest.mark.parametrize(
    'file, old, new, message',
    [
        (
            'intent.csv', 'sn/mask-rcnn_r50_fpn_sn-all', 'sn/nothing',
            'there is no config sn/nothing_1x_coco.py',
        ),
        ('intent.csv', '53 SN,', '53,', "'53' does not read as"),
        (
            'intent.csv', ',grid,', ',grill,',
            "sn/README.md: the table 'grill' stands there 0 times",
        ),
        (
            'sn/README.md', 'table: SN Table 4 |', 'table: SN Table 9 |',
            "no config is in the table 'SN Table 9'",
        ),
        (
            'sn/README.md', 'backbone, head', 'backbone, tail',
            "there is no column 'tail'; there are network, data,",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(copy, file, old, new, message):
    edit(copy / 'configs' / file, old, new)
    before = (copy / 'configs/sn/metafile.yml').read_text()
    done = run('--root', copy)
    assert done.returncode == 2
    assert message in done.stderr and 'Traceback' not in done.stderr
    assert (copy / 'configs/sn/metafile.yml').read_text() == before


def test_a_config_without_a_row_is_named(copy):
    (copy / 'configs' / 'sw' / 'new.py').touch()
    assert 'sw/new.py has no row' in run('--root', copy).stderr
