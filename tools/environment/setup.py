"""The steps from a bare machine to a finished environment.

An environment counts as finished only with a stamp, which is written last,
after an import check. Without one nothing in it is believed: packages that an
interrupted pip left half installed are forgotten and installed again.
"""

import csv
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from . import checks, mmcv
from .checks import SetupError
from .lanes import LANES, ROOT, Lane, fingerprint, is_finished, write_stamp
from .progress import Progress, duration

_IMPORT_CHECK = (
    'import importlib, importlib.util, sys\n'
    'for name in sys.argv[1:]: importlib.import_module(name)\n'
    'if not importlib.util.find_spec("whiten_plugins"):\n'
    '    raise ImportError("whiten_plugins is not found")\n'
)


class Step(NamedTuple):
    """One line of the progress, with its usual duration on two cores."""

    title: str
    seconds: int
    act: Callable[[], None]


def run(lane_name: str, venv: str | None = None) -> int:
    """Set up a lane and say how it went.

    Args:
        lane_name: A key of `LANES`.
        venv: Where to make it; by default the lane's usual place.

    Returns:
        The exit code: 0 ready, 1 a step failed, 2 the machine lacks
        something, 130 interrupted.
    """
    lane = LANES[lane_name]
    place = Path(os.path.abspath(venv) if venv else ROOT / lane.venv)
    try:
        Setup(lane, place).ensure()
    except SetupError as error:
        print(f'setup_env: {error}', file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f'setup_env: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            'setup_env: interrupted; run it again to go on where it was',
            file=sys.stderr,
        )
        return 130
    return 0


class Setup:
    """Makes, completes or repairs the environment of a lane in a place."""

    def __init__(self, lane: Lane, venv: Path) -> None:
        self.lane = lane
        self.venv = venv
        self.python = venv / 'bin' / 'python'
        self.own = venv / 'setup'
        self.stamp = self.own / 'stamp.json'
        self.scratch = self.own / 'tmp'
        self.ops = mmcv.which_ops() if lane.mmcv else 'none'
        self.expected = fingerprint(lane, self.ops)
        version = '{}.{}'.format(*sys.version_info)
        self.site = venv / 'lib' / f'python{version}' / 'site-packages'
        self.wheels = mmcv.wheel_directory(lane.pin('torch'), self.ops)

    def ensure(self) -> None:
        """Return at once if the environment is finished, else finish it."""
        if is_finished(self.stamp, self.expected):
            print(f'{self.venv} is ready')
            return
        self.check()
        self.own.mkdir(parents=True, exist_ok=True)
        with open(self.own / 'lock', 'w') as lock:
            self._wait_for(lock.fileno())
            if not is_finished(self.stamp, self.expected):
                self._make(lock.fileno())

    def check(self) -> None:
        """Raise what the machine lacks, before anything is written."""
        checks.check_venv(self.venv)
        checks.check_venv_module()
        if self.lane.mmcv and self.cached_wheel() is None:
            checks.check_compiler()
        if not (self.venv / 'pyvenv.cfg').exists():
            checks.check_disk(self.venv, self.lane.disk_gb)

    def cached_wheel(self) -> Path | None:
        return mmcv.find_wheel(self.wheels, self.lane.pin('mmcv'))

    def _wait_for(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f'Waiting for another set-up of {self.venv}', flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)

    def _make(self, lock: int) -> None:
        began = time.monotonic()
        self.stamp.unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        steps = self._steps()
        print(f'Setting up {self.venv}, logs in {self.own}', flush=True)
        if self.ops == 'cpu' and mmcv.has_gpu():
            print(
                'There is a GPU but no nvcc: mmcv will have its CPU ops only. '
                'For its GPU ops install the CUDA toolkit and run this again.'
            )
        self.progress = Progress(
            [step.seconds for step in steps], self.own, lock
        )
        for step in steps:
            with self.progress.step(step.title):
                step.act()
        shutil.rmtree(self.scratch, ignore_errors=True)
        write_stamp(self.stamp, self.expected)
        took = duration(time.monotonic() - began)
        print(f'{self.venv} is ready ({took})')

    def _steps(self) -> list[Step]:
        lane = self.lane
        mmcv_steps = []
        if lane.mmcv:
            title = f'mmcv {lane.pin("mmcv")} for torch {lane.pin("torch")}'
            mmcv_steps.append(
                Step(f'{title}, wheel kept from before', 5, self.install_mmcv)
                if self.cached_wheel()
                else Step(f'{title}, compiled here', 400, self.install_mmcv)
            )
        return [
            Step('Virtual environment', 10, self.make_venv),
            Step(
                'PyTorch and other packages',
                lane.packages_seconds,
                self.install_requirements,
            ),
            *mmcv_steps,
            Step(', '.join(lane.openmmlab), 10, self.install_openmmlab),
            Step('This package', 5, self.install_package),
            Step('Import check', 15, self.check_imports),
        ]

    def make_venv(self) -> None:
        forget_damaged(self.site)
        if not self._has_pip():
            command = [sys.executable, '-m', 'venv', self.venv]
            self.progress.run(command, self._environment())
        checks.check_index(self.python, self.lane.constraints, self.scratch)

    def install_requirements(self) -> None:
        self._pip_install('-r', self.lane.root / self.lane.requirements)

    def install_mmcv(self) -> None:
        wheel = self.cached_wheel() or self._build_mmcv()
        if installed_from(self.site, 'mmcv') != wheel.as_uri():
            self._pip_install('--no-deps', '--force-reinstall', wheel)

    def install_openmmlab(self) -> None:
        self._pip_install('--no-deps', *self.lane.openmmlab)

    def install_package(self) -> None:
        self._pip_install(
            '--no-deps', '--no-build-isolation', '-e', self.lane.root
        )

    def check_imports(self) -> None:
        command = [self.python, '-I', '-c', _IMPORT_CHECK]
        self.progress.run([*command, *self.lane.imports], self._environment())

    def _build_mmcv(self) -> Path:
        built = self.scratch / 'wheel'
        environment = self._environment() | mmcv.build_environment(self.ops)
        self.progress.run(
            [*self._pip('wheel'), '--verbose', '--no-build-isolation']
            + ['--no-cache-dir', '--no-deps', '--wheel-dir', built]
            + [f'mmcv=={self.lane.pin("mmcv")}'],
            environment,
        )
        (wheel,) = built.iterdir()
        return mmcv.keep_wheel(wheel, self.wheels)

    def _has_pip(self) -> bool:
        records = self.site.glob('pip-*.dist-info')
        return self.python.exists() and any(records)

    def _pip_install(self, *arguments: str | Path) -> None:
        options = ['--progress-bar=off', '--no-compile']
        command = [*self._pip('install'), *options, *arguments]
        self.progress.run(command, self._environment())

    def _pip(self, command: str) -> list[str | Path]:
        return [self.python, '-I', '-m', 'pip', command] + [
            '--disable-pip-version-check',
            '--constraint',
            self.lane.constraints,
        ]

    def _environment(self) -> dict[str, str]:
        """The user's variables, less what would lead pip elsewhere."""
        environment = dict(os.environ)
        environment.pop('PYTHONPATH', None)
        environment.pop('PYTHONHOME', None)
        path = environment.get('PATH', os.defpath)
        return environment | {
            'PATH': f'{self.venv / "bin"}:{path}',
            'PIP_USER': '0',
            'TMPDIR': str(self.scratch),
        }


def forget_damaged(site: Path) -> None:
    """Remove the records of packages that are not there as a whole.

    pip then takes them for missing and installs them over what is left of
    them. It writes INSTALLER and the final RECORD after all other files.
    """
    for leftover in site.glob('~*'):
        shutil.rmtree(leftover, ignore_errors=True)
    for record in site.glob('*.dist-info'):
        if not is_whole(record):
            shutil.rmtree(record)


def is_whole(dist_info: Path) -> bool:
    """Whether a package's every recorded file is there."""
    site = dist_info.parent
    try:
        with open(dist_info / 'RECORD', newline='') as record:
            files = [row[0] for row in csv.reader(record) if row]
    except FileNotFoundError:
        return False
    return (dist_info / 'INSTALLER').exists() and all(
        (site / file).exists() or file.endswith('.pyc') for file in files
    )


def installed_from(site: Path, package: str) -> str | None:
    """The URL of the file that a package was installed from, if from one."""
    for distribution in metadata.distributions(name=package, path=[str(site)]):
        source = distribution.read_text('direct_url.json')
        return json.loads(source)['url'] if source else None
    return None
