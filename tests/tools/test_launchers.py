"""The shell launchers: which Python runs which tool, from anywhere."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'
# A Python that has torch, or not, and says how it was called.
PYTHON = """#!/bin/sh
[ "$1" = -c ] && exit {lacks_torch}
echo "{name} $OMP_WAIT_POLICY $PYTHONPATH"
for argument; do last_tool=$argument; case $argument in *.py) break; esac; done
echo "$last_tool"
"""
BASH = shutil.which('bash')


def write_python(path, name, has_torch=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PYTHON.format(name=name, lacks_torch=int(not has_torch)))
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path):
    """A checkout with an environment of its own, and a shell without one."""
    root = tmp_path / 'a project'
    (root / 'tools').mkdir(parents=True)
    for script in TOOLS.glob('*.sh'):
        shutil.copy(script, root / 'tools')
    write_python(root / '.venv' / 'bin' / 'python', 'project')
    write_python(tmp_path / 'bin' / 'python', 'shell', has_torch=False)
    write_python(tmp_path / 'bin' / 'python3', 'shell3', has_torch=False)
    return root


def run(script, *arguments, cwd, **variables):
    env = {k: v for k, v in os.environ.items() if k[:3] != 'OMP'}
    for name in ('PYTHON', 'PYTHONPATH', 'CDPATH'):
        env.pop(name, None)
    shell = next(p for p in [cwd, *cwd.parents] if (p / 'bin').exists())
    env['PATH'] = f'{shell / "bin"}:{env["PATH"]}'
    return subprocess.run(
        [BASH, str(script), *arguments],
        cwd=cwd,
        env={**env, **variables},
        capture_output=True,
        text=True,
    )


def test_projects_environment_where_the_shell_has_none(project):
    result = run('tools/dist_train.sh', 'net.py', '2', cwd=project)
    tool = project / 'tools' / 'train.py'
    assert result.stdout == f'project PASSIVE {project}\n{tool}\n'
    assert result.stderr == ''


def test_environment_of_the_shell_comes_first(project, tmp_path):
    write_python(tmp_path / 'bin' / 'python3', 'shell3')
    result = run('tools/dist_train.sh', 'net.py', '2', cwd=project)
    assert result.stdout.startswith('shell3 ')


def test_named_python_and_policy_are_kept(project, tmp_path):
    named = tmp_path / 'a named one'
    write_python(named, 'named')
    result = run(
        'tools/dist_test.sh',
        'net.py',
        'net.pth',
        '2',
        cwd=project,
        PYTHON=str(named),
        OMP_WAIT_POLICY='ACTIVE',
    )
    assert result.stdout.startswith('named ACTIVE ')


@pytest.mark.parametrize('named', [True, False])
def test_no_torch_anywhere_is_one_line_with_the_remedy(
    project, tmp_path, named
):
    write_python(project / '.venv' / 'bin' / 'python', 'project', False)
    variables = dict(PYTHON='python3') if named else {}
    result = run(
        'tools/dist_train.sh', 'net.py', '2', cwd=project, **variables
    )
    assert (result.returncode, result.stdout) == (2, '')
    assert result.stderr.count('\n') == 1
    assert 'has no torch' in result.stderr and 'make env' in result.stderr


def test_cdpath_does_not_lead_elsewhere(project, tmp_path):
    (tmp_path / 'elsewhere' / 'tools').mkdir(parents=True)
    result = run(
        'tools/dist_train.sh',
        'net.py',
        '2',
        cwd=project,
        CDPATH=f'{tmp_path / "elsewhere"}:.',
    )
    assert f'{project}/tools/train.py' in result.stdout


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', ('net.py', '2')),
        ('dist_test.sh', ('net.py', 'net.pth', '2')),
        ('slurm_train.sh', ('gpu', 'job', 'net.py')),
        ('slurm_test.sh', ('gpu', 'job', 'net.py', 'net.pth')),
    ],
)
def test_symbolic_links_lead_back(project, tmp_path, script, arguments):
    srun = tmp_path / 'bin' / 'srun'
    srun.write_text(
        '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"\n'
    )
    srun.chmod(0o755)
    links = tmp_path / 'links'
    links.mkdir()
    link = links / 'train everything'
    link.symlink_to(project / 'tools' / script)
    result = run(link, *arguments, cwd=links)
    assert result.stderr == ''
    assert result.stdout.startswith('project PASSIVE')
    assert result.stdout.splitlines()[1].startswith(f'{project}/tools/')
