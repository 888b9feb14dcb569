"""Forks, workers, threads, replicas, signals; subinterpreters are refused."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.reliability import processes
from whiten_plugins.ops.backends import selection

ROOT = Path(__file__).resolve().parents[2]
NORMS = 3
QUICK = ('fork', 'loader_fork', 'pool', 'threads', 'replicas', 'signals')

pytestmark = pytest.mark.skipif(
    selection.native_failure() is not None, reason='no C++ kernels here'
)


def run(*names):
    environment = {**os.environ, 'WHITEN_PLUGINS_BACKEND': 'native'}
    environment.pop('OMP_NUM_THREADS', None)
    done = subprocess.run(
        [sys.executable, '-m', processes.__name__, *names],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope='module')
def found():
    return run(*QUICK)


def test_forks_do_not_wait_for_threads_that_they_lack(found, held):
    assert set(found['fork'].values()) == {0}
    held(
        'forked after kernels ran on 2 threads, each within {limit} s: '
        '{kinds}',
        limit=processes.LIMIT,
        kinds=', '.join(found['fork']),
    )


def test_workers_of_a_data_loader_use_norms(found, held):
    assert found['loader_fork'] == {'samples': 6}
    assert found['pool'] == {'trainings': 4}
    held(
        '2 forked workers of a data loader use a norm: {samples} samples as '
        'in the process itself; {trainings} trainings in a pool of 2 forks',
        **found['loader_fork'],
        **found['pool'],
    )


@pytest.mark.slow
def test_spawned_workers_use_norms(held):
    found = run('loader_spawn')['loader_spawn']
    assert found == {'samples': 6}
    held('2 spawned workers: {samples} samples the same', **found)


def test_threads_do_not_disturb_each_other(found, held):
    rows = found['threads']
    assert rows['equal'] == rows['trainings'] and rows['shared'] == 16
    held(
        '{trainings} trainings of {steps} steps in {threads} threads at once: '
        'bit-equal to one after the other, {equal} of {trainings}; one norm '
        'shared by {threads} threads in evaluation: bit-equal, {shared} of 16',
        steps=processes.STEPS,
        threads=processes.THREADS,
        **rows,
    )


def test_replicas_work_as_those_of_data_parallel(found, held):
    assert found['replicas'] == {'norms': NORMS}
    held(
        "DataParallel's replicas in two threads (emulated: its own "
        'replication wants GPUs): outputs, summed gradients and the first '
        "replica's buffers as of two calls, {norms} of {all} norms",
        all=NORMS,
        **found['replicas'],
    )


def test_signals_change_nothing_and_interrupt(found, held):
    rows = found['signals']
    assert rows['equal'] == rows['equal_after'] == NORMS
    assert rows['signals'] > 50 and rows['interrupted'] == 20
    held(
        '{signals} signals handled while {norms} norms train: bit-equal; '
        '{interrupted} of 20 interruptions (Ctrl-C) end a training, and the '
        'next one is bit-equal',
        norms=NORMS,
        **rows,
    )


@pytest.mark.skipif(
    find_spec('_xxsubinterpreters') is None,
    reason='this Python has no subinterpreters, or in another module',
)
def test_a_subinterpreter_is_refused(held):
    code = (
        'import _xxsubinterpreters as interpreters\n'
        'number = interpreters.create()\n'
        'try:\n'
        '    interpreters.run_string(number, "import whiten_plugins")\n'
        'except interpreters.RunFailedError as error:\n'
        '    print(error)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    message = 'cannot be imported in a subinterpreter, for torch cannot'
    assert message in done.stdout, done.stderr
    held(
        'a subinterpreter, where the import of torch hangs or ends the '
        'process without a word: {error}',
        error='ImportError that says so and names multiprocessing',
    )
