"""Make or repair an environment of this project: `python3 tools/dev/lane.py`.

uv does the work: pyproject.toml says what each lane holds, uv.lock in which
versions. What is left is to fetch uv where it is missing, to have mmcv's
operators built for this machine, and to say in one line what the machine
lacks. Run again at any time, it repairs what an interrupted run left.

The syntax is Python 3.6's, so that an older Python can say that it is not
the right one.
"""

import argparse
import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATCH = ROOT / 'tools' / 'dev' / 'mmcv_build'
UV_VERSION, UV_MINIMUM = '0.13.9', (0, 9)
CUDA_MAJOR = '13'  # of the torch wheels on PyPI
MMCV_BUILD = 1  # one more where mmcv_build comes to build another mmcv
MEMORY_OF_A_COMPILER = 1.5e9
FAILED, LACKING, NO_COMPILER = 1, 2, 3  # exit codes

Lane = namedtuple('Lane', 'venv group pythons ops imports usual disk_gb')
_BUILT = (
    ((3, 10), (3, 13)),
    True,
    'torchvision mmcv.ops mmdet.apis mmseg.apis onnxruntime jinja2',
    'about 5 minutes, most of it for compiling mmcv',
    12,
)
_FETCHED = ('about a minute', 9)
LANES = {
    'default': Lane('.venv', 'default', *_BUILT),
    'onedl': Lane('.venv-onedl', 'onedl', *_BUILT),
    # The forks without mmcv's operators, hence without a compiler.
    'quick': Lane(
        '.venv-quick', 'onedl', _BUILT[0], False, 'mmseg.apis', *_FETCHED
    ),
    'oldest': Lane(
        '.venv-oldest',
        'oldest',
        ((3, 10), (3, 12)),
        False,
        'torch mmengine.runner',
        *_FETCHED,
    ),
    'newest': Lane(
        '.venv-newest',
        'newest',
        ((3, 11), (3, 15)),
        False,
        'torch mmengine.runner onnxruntime jinja2',
        *_FETCHED,
    ),
}
# The lines of uv that tell where it is; those that tell why it failed.
STEP = re.compile(r' *(Download|Buil[dt]|Prepared|Uninstalled|Installed)')
REASON = re.compile(r'^(?:error: .*|.*: error: .*|\w*Error: .*)$', re.M)
NO_NETWORK = re.compile(
    'dns error|error sending request|Connection refused|tunnel error'
    '|timed out|NewConnectionError|Network connectivity',
    re.I,
)


class LaneError(Exception):
    """The set-up cannot go on; the message is one line for the user."""

    def __init__(self, message, exit_code=LACKING):
        super().__init__(message)
        self.exit_code = exit_code


def set_up(name):
    """Make, complete or repair the environment of a lane."""
    started = time.time()
    lane = LANES[name]
    check_python(lane)
    venv = ROOT / lane.venv
    stamp = venv / 'lane'  # says that the environment was made here
    check_place(venv, stamp)
    uv = find_uv()
    log = ROOT / '.uv' / f'{name}.log'
    log.parent.mkdir(exist_ok=True)
    with log.with_suffix('.lock').open('w') as lock:
        wait_for(lock, lane)
        make(lane, venv, stamp, uv, log)
    say(f'{lane.venv} is ready ({time.time() - started:.1f} s)')


def wait_for(lock, lane):
    """Have one set-up at a time in an environment."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f'Waiting for another set-up of {lane.venv}')
        fcntl.flock(lock, fcntl.LOCK_EX)


def make(lane, venv, stamp, uv, log):
    ops = which_ops(lane)
    finished = stamp.exists() and stamp.read_text() == 'finished'
    lacking = None if finished else what_lacks(lane)
    if not finished:
        shown = log.relative_to(ROOT)
        say(
            f'Setting up {lane.venv} (the first time usually {lane.usual}; '
            f'log: {shown})'
        )
        command = [uv, 'venv', '--quiet', '--clear', '--no-project']
        command += ['--python', sys.executable, '--prompt', 'whiten_plugins']
        run([*command, str(venv)], log)
        stamp.write_text('unfinished')
    # What the machine lacks does not matter where a cache has all of it.
    offline = ['--offline'] if lacking else []
    try:
        changed = run(
            sync_command(uv, lane, ops) + offline,
            log,
            sync_environment(venv, ops),
        )
    except LaneError as error:
        raise (lacking or error) from None
    if changed or not finished:
        stamp.write_text('unfinished')
        check_imports(lane, venv, log)
        stamp.write_text('finished')


def check_python(lane):
    """Raise unless this is a Python that the lane is locked for."""
    if not sys.platform.startswith('linux'):
        raise LaneError(
            f'this project is set up on Linux, and this is {sys.platform}'
        )
    oldest, newest = lane.pythons
    name = sys.implementation.name
    if name != 'cpython' or not oldest <= sys.version_info[:2] <= newest:
        raise LaneError(
            f'{sys.executable} is {name} {dotted(sys.version_info[:3])}, and '
            f'{lane.venv} needs CPython {dotted(oldest)} to {dotted(newest)}: '
            f'install one and name it, as in PYTHON=python{dotted(newest)}'
        )


def check_place(venv, stamp):
    """Raise if there is an environment, or what not, of somebody else."""
    if stamp.exists() or not venv.exists():
        return
    if not venv.is_dir() or any(venv.iterdir()):
        raise LaneError(
            f'{venv} was not made by this set-up: move it away or remove it '
            f'(rm -r {shlex.quote(str(venv))})'
        )


def find_uv():
    """Return a uv that is new enough, fetched into `.uv` if none is here."""
    folder = ROOT / '.uv'
    own = folder / 'bin' / 'uv'
    for program in (shutil.which('uv'), str(own)):
        if program and uv_version(program) >= UV_MINIMUM:
            return program
    say('Fetching uv, which makes the environments, into .uv')
    make = [sys.executable, '-m', 'venv', str(folder)]
    fetch = [str(own.with_name('python')), '-m', 'pip', 'install', '--quiet']
    fetch += ['--disable-pip-version-check', f'uv=={UV_VERSION}']
    for command in (make, fetch):
        result = captured(command)
        if result.returncode:
            raise LaneError(why_no_uv(result.stdout))
    return str(own)


def uv_version(program):
    """Return the version of a uv, () where it does not run."""
    try:
        said = captured([program, '--version']).stdout
    except OSError:
        return ()
    found = re.match(r'uv (\d+)\.(\d+)', said)
    return tuple(map(int, found.groups())) if found else ()


def why_no_uv(output):
    if 'ensurepip' in output or 'No module named venv' in output:
        python = f'python{dotted(sys.version_info[:2])}'
        return (
            f'{sys.executable} has no venv module: install it (Debian, '
            f'Ubuntu: apt install {python}-venv), or put uv on PATH'
        )
    return explanation(output, 'pip')


def which_ops(lane):
    """Name the operators of mmcv to build: 'none', 'cpu' or 'cuda'."""
    if not lane.ops:
        return 'none'
    hidden = os.environ.get('CUDA_VISIBLE_DEVICES') in ('', '-1')
    if hidden or not Path('/dev/nvidiactl').exists():
        return 'cpu'
    found = nvcc_major()
    if found == CUDA_MAJOR:
        return 'cuda'
    what = f'its nvcc is of CUDA {found}' if found else 'no nvcc'
    say(
        f'There is a GPU, but {what}: mmcv gets its CPU operators only. For '
        f'those of the GPU install the CUDA {CUDA_MAJOR} toolkit, remove '
        f'{lane.venv} and run this again.'
    )
    return 'cpu'


def nvcc_major():
    """Return the CUDA version whose nvcc is here, '' for none."""
    home = os.environ.get('CUDA_HOME', '/usr/local/cuda')
    nvcc = shutil.which(f'{home}/bin/nvcc') or shutil.which('nvcc')
    if nvcc is None:
        return ''
    found = re.search(r'release (\d+)', captured([nvcc, '--version']).stdout)
    return found.group(1) if found else ''


def what_lacks(lane):
    """Say what the machine lacks for a set-up from nothing, as an error."""
    compiler = shlex.split(os.environ.get('CXX') or 'c++')[0]
    include = sysconfig.get_paths()['include']
    free_gb = shutil.disk_usage(str(ROOT)).free / 1e9
    if lane.ops and shutil.which(compiler) is None:
        return LaneError(
            f'no C++ compiler ({compiler} not found), and mmcv is built here: '
            'install one (Debian, Ubuntu: apt install g++), name it in CXX, '
            'or try make demo-quick, which needs none',
            NO_COMPILER,
        )
    if lane.ops and not Path(include, 'Python.h').is_file():
        python = f'python{dotted(sys.version_info[:2])}'
        return LaneError(
            f'no Python.h in {include}, and mmcv is built here: install the '
            f'headers of Python (Debian, Ubuntu: apt install {python}-dev)',
            NO_COMPILER,
        )
    if free_gb < lane.disk_gb:
        return LaneError(
            f'{ROOT} has {free_gb:.1f} GB of free space, and {lane.venv} and '
            f'its making need {lane.disk_gb}: free some'
        )
    return None


def sync_command(uv, lane, ops):
    command = [uv, 'sync', '--frozen', '--no-progress', '--project', str(ROOT)]
    command += ['--python', sys.executable, '--no-python-downloads']
    command += ['--only-group', lane.group]
    # uv's cache tells its builds apart by these settings, which mmcv ignores.
    for package in ('mmcv', 'onedl-mmcv'):
        setting = f'{package}:build={MMCV_BUILD}-{ops}'
        command += ['--config-settings-package', setting]
    return command


def sync_environment(venv, ops):
    """Return the user's variables, and what the build of mmcv looks at."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    cores = len(os.sched_getaffinity(0))
    jobs = max(1, min(cores, int(memory / MEMORY_OF_A_COMPILER)))
    env = {'MAX_JOBS': str(jobs), **os.environ}
    for foreign in ('PYTHONHOME', 'VIRTUAL_ENV'):
        env.pop(foreign, None)
    env.update(
        UV_PROJECT_ENVIRONMENT=str(venv),
        WHITEN_PLUGINS_MMCV_OPS=ops,
        FORCE_CUDA=str(int(ops == 'cuda')),
        PYTHONPATH=str(PATCH),
        UV_LOCK_TIMEOUT='7200',  # while another project builds mmcv
    )
    if ops == 'cpu':
        env['CUDA_VISIBLE_DEVICES'] = ''
    return env


def run(command, log, env=None):
    """Run uv, show where it is; returns whether it changed anything."""
    changed = False
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with log.open('w') as file:
        for line in process.stdout:
            file.write(line)
            if STEP.match(line):
                changed = True
                say(line.rstrip())
    if process.wait():
        why = explanation(log.read_text(), 'uv')
        raise LaneError(f'{why} (log: {log.relative_to(ROOT)})', FAILED)
    return changed


def check_imports(lane, venv, log):
    """Raise unless what the lane is there for can be imported."""
    code = 'import ' + ', '.join([*lane.imports.split(), 'whiten_plugins'])
    # A notebook's backend, which its children inherit, is not installed here.
    foreign = ('MPLBACKEND', 'PYTHONPATH', 'PYTHONHOME')
    env = {k: v for k, v in os.environ.items() if k not in foreign}
    python = str(venv / 'bin' / 'python')
    result = captured([python, '-c', code], cwd=str(ROOT), env=env)
    if result.returncode:
        log.write_text(result.stdout)
        why = explanation(result.stdout, python)
        raise LaneError(
            f'{lane.venv} does not work: {why} (log: {log.relative_to(ROOT)})',
            FAILED,
        )


def explanation(output, program):
    """Return what a program that failed said, in one line."""
    if 'No space left on device' in output:
        return 'the disk is full: free some space and run it again'
    if NO_NETWORK.search(output):
        return (
            f'{program} reaches no package index: connect to the network, or '
            f'give {program} its proxy or index'
        )
    lines = REASON.findall(output) or output.strip().splitlines()
    return lines[0].strip() if lines else f'{program} failed'


def captured(command, **options):
    """Run a command; returns its result, all that it said in `stdout`."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def dotted(version):
    return '.'.join(str(part) for part in version)


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description='Set up an environment.')
    parser.add_argument(
        'lane',
        nargs='?',
        default='default',
        choices=list(LANES),
        help='README.md tells what each holds (default: default)',
    )
    try:
        set_up(parser.parse_args().lane)
    except LaneError as error:
        sys.stderr.write(f'lane.py: {error}\n')
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f'lane.py: {error}\n')
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write('lane.py: interrupted; run it again to go on\n')
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
