"""Kills, full and read-only disks at every write point of what writes."""

import shutil

import pytest

from tests.reliability import faults
from tests.reliability.writers import JOBS

pytestmark = pytest.mark.skipif(
    shutil.which('cc') is None, reason='the faults are injected by a C library'
)
QUICK = ('figures', 'history', 'package')


def check(found):
    wrong = {job: rows['failures'] for job, rows in found.items()}
    assert not any(wrong.values()), wrong
    for rows in found.values():
        assert rows['points'] > 5


def test_quick_ones_survive_a_kill_at_every_point(tmp_path):
    check(faults.survey(QUICK, tmp_path, ['kill']))


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize('job', JOBS)
def test_every_fault_at_every_write_point(job, tmp_path, held):
    if job in ('fold', 'calibrate', 'ratios', 'diagnose', 'onnx'):
        pytest.importorskip('mmseg')
    found = faults.survey([job], tmp_path)
    check(found)
    rows = found[job]
    held(
        f'`{job}`: {{points}} write points ({{kinds}}); {{kill}} kills '
        'before and {within} within a point: old or new files, whole, and '
        'the next run leaves what an undisturbed one does; disk full from '
        'each point on ({full}), read-only from each point on '
        '({read_only}): one error, old files as they were',
        points=rows['points'],
        kinds=', '.join(f'{n} {kind}' for kind, n in rows['kinds'].items()),
        kill=rows['kill'],
        within=rows['within'],
        full=rows['full'],
        read_only=rows['read only'],
    )
