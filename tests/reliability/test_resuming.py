"""Kills in mid-step and in mid-checkpoint; resumed equals uninterrupted."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.reliability import faults, resuming


def run(what, stride, folder, preload=False):
    environment = {**os.environ, 'TMPDIR': str(folder)}
    if preload:
        environment['LD_PRELOAD'] = str(faults.build_shim(folder))
    command = [sys.executable, '-m', resuming.__name__, what]
    done = subprocess.run(
        [*command, '--stride', str(stride)],
        cwd=faults.ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found['failures']
    return found


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.skipif(shutil.which('cc') is None, reason='needs a C compiler')
def test_a_job_that_is_killed_while_it_writes(tmp_path, held):
    stride = 4
    found = run('single', stride, tmp_path, preload=True)
    assert found['equal'] == found['kills'] > 20
    held(
        'a training with a checkpoint every {interval} iterations has '
        '{points} write points in its work directory; killed before and '
        'within every {stride}th, of checkpoints, logs and histories '
        '({kills} kills), and resumed to its end: weights, optimizer and '
        'random generators bit-equal to the uninterrupted one, {equal} of '
        '{kills}',
        interval=resuming.INTERVAL,
        stride=stride,
        points=found['points'],
        kills=found['kills'],
        equal=found['equal'],
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_rank_that_is_killed_in_mid_step(tmp_path, held):
    found = run('ranks', 1, tmp_path)
    assert found['equal'] == found['kills'] == len(resuming.KILLED_AT)
    held(
        'one of {ranks} processes (gloo, SyncSN and SyncSW) is killed in the '
        'backward pass of iterations {iterations}: the other ends with an '
        'error within {seconds} s; resumed, both are bit-equal to the '
        'uninterrupted ones, {equal} of {kills}',
        ranks=resuming.RANKS,
        iterations=', '.join(map(str, resuming.KILLED_AT)),
        seconds=max(found['seconds']),
        equal=found['equal'],
        kills=found['kills'],
    )
