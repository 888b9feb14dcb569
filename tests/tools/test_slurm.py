"""tools/slurm_train.sh and slurm_test.sh, by a stand-in for srun."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools'
# Writes what it was given, an argument a line; SLURM_TASK=run starts the
# command as a task of a job.
SRUN = """#!/usr/bin/env bash
printf '%s\\n' "$PYTHONPATH" "$MASTER_PORT" "$@" >"$SRUN_LOG"
[[ ${SLURM_TASK:-} == run ]] || exit 7
while [[ $1 == -* ]]; do shift; done
SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_NODELIST=here exec "$@"
"""


@pytest.fixture
def slurm(tmp_path):
    """Runs a script; returns the result and what srun was given."""
    srun = tmp_path / 'bin' / 'srun'
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    log = tmp_path / 'srun.log'

    def run(script, *args, path=f'{srun.parent}:{os.environ["PATH"]}', **env):
        settings = dict(PATH=path, SRUN_LOG=str(log), PYTHON=sys.executable)
        for name in ('PYTHONPATH', 'MASTER_PORT', 'PORT'):
            settings.setdefault(name, '')
        result = subprocess.run(
            [f'{TOOLS / script}', *map(str, args)],
            cwd=tmp_path,
            env={**os.environ, **settings, **env},
            capture_output=True,
            text=True,
        )
        given = log.read_text().splitlines() if log.exists() else None
        return result, given

    return run


def _given(tool, *args, gpus=8, per_node=8, cpus=5, more=(), port='29500'):
    """What srun should be given."""
    return [
        str(ROOT),
        port,
        '--partition=gpu',
        '--job-name=my job',
        f'--gres=gpu:{per_node}',
        f'--ntasks={gpus}',
        f'--ntasks-per-node={per_node}',
        f'--cpus-per-task={cpus}',
        '--kill-on-bad-exit=1',
        *more,
        sys.executable,
        '-u',
        str(TOOLS / tool),
        *args,
        '--launcher',
        'slurm',
    ]


TRAIN = ('slurm_train.sh', 'gpu', 'my job', 'net.py')


def test_training_as_mmdet_users_start_it(slurm):
    result, given = slurm(*TRAIN, 'my work', '--amp')
    expected = ('net.py', '--work-dir', 'my work', '--amp')
    assert given == _given('train.py', *expected)
    assert result.returncode == 7  # that of srun


@pytest.mark.parametrize(
    'arguments', [(), ('--resume',), ('--cfg-options', 'a=b c', 'd=1')]
)
def test_training_as_mmseg_users_start_it(slurm, arguments):
    _, given = slurm(*TRAIN, *arguments)
    assert given == _given('train.py', 'net.py', *arguments)


def test_testing(slurm):
    where = ('slurm_test.sh', 'gpu', 'my job')
    _, given = slurm(*where, 'net.py', 'iter_3.pth', '--tta')
    assert given == _given('test.py', 'net.py', 'iter_3.pth', '--tta')


def test_settings_from_the_environment(slurm):
    _, given = slurm(
        *TRAIN,
        GPUS='16',
        GPUS_PER_NODE='4',
        CPUS_PER_TASK='2',
        SRUN_ARGS='--quotatype=auto --time=1:00',
        PORT='29511',
        PYTHONPATH='elsewhere',
    )
    more = ('--quotatype=auto', '--time=1:00')
    expected = _given(
        'train.py',
        'net.py',
        gpus=16,
        per_node=4,
        cpus=2,
        more=more,
        port='29511',
    )
    expected[0] += ':elsewhere'
    assert given == expected


def test_fewer_processes_than_a_node_has_ask_for_no_more_gpus(slurm):
    _, given = slurm(*TRAIN, GPUS='2')
    assert given == _given('train.py', 'net.py', gpus=2, per_node=2)


@pytest.mark.parametrize(
    ('args', 'env', 'message'),
    [
        (
            ('slurm_train.sh', 'gpu', 'job'),
            {},
            'usage: slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR]',
        ),
        (
            ('slurm_test.sh', 'gpu', 'job', 'net.py'),
            {},
            'usage: slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT',
        ),
        (TRAIN, dict(GPUS='two'), "GPUS must be a positive number, got 'two'"),
        (TRAIN, dict(GPUS_PER_NODE='0'), 'GPUS_PER_NODE must be a positive'),
        (TRAIN, dict(path='/usr/bin:/bin'), 'use dist_train.sh'),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(slurm, args, env, message):
    result, given = slurm(*args, **env)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert given is None


@pytest.mark.slow
def test_a_node_without_gpus_is_told_so(slurm, tiny_config):
    pytest.importorskip('mmseg')
    config = tiny_config('pspnet', 'ade20k')
    where = ('slurm_train.sh', 'gpu', 'my job')
    result, _ = slurm(
        *where, config, SLURM_TASK='run', CUDA_VISIBLE_DEVICES='-1'
    )
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith('train.py: error: --launcher slurm needs a GPU')
