"""Every write point of every tool meets every fault.

``python -m tests.reliability.faults harden fold`` prints, as JSON, what
became of these jobs of :mod:`.writers`: it runs each once to count its write
points (``faults.c``), then once for every point and fault, in a folder with
older files of the same names.

========== ============================================================
fault      what is looked for afterwards
========== ============================================================
kill       SIGKILL before the point: each file is the old or the new one,
           whole; running the job again leaves what it leaves undisturbed
within     SIGKILL in the middle of the point (half of a write is done):
           the same
full       from this point on the disk is full: one line that names the
           reason and a path; the old files as they were, no others
read only  from this point on nothing can be changed: one line; old or
           new files, whole
========== ============================================================
"""

import argparse
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from tests.reliability.writers import JOBS, OLD, is_whole, prepare

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_suffix('.c')
MODES = {'count': 0, 'kill': 1, 'within': 2, 'full': 3, 'read only': 4}
REASONS = {'full': 'No space left', 'read only': 'Read-only file system'}
KILLS = ('kill', 'within')
LIMIT = 120  # seconds for a run


def build_shim(folder):
    """Compile ``faults.c`` into a folder."""
    shim = Path(folder) / 'faults.so'
    subprocess.run(
        ['cc', '-shared', '-fPIC', '-O1', '-o', shim, SOURCE, '-ldl'],
        check=True,
    )
    return shim


def survey(jobs, folder, faults=tuple(MODES)[1:]):
    """Run this module in a process of its own; return what it found."""
    shim = build_shim(folder)
    done = subprocess.run(
        [sys.executable, '-m', __name__, *jobs, '--faults', *faults],
        cwd=ROOT,
        env={**os.environ, 'LD_PRELOAD': str(shim), 'TMPDIR': str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


class Survey:
    """The runs of one job."""

    def __init__(self, name, job, data, scratch):
        self.job, self.data = job, data
        self.folder = scratch / name
        self.shim = ctypes.CDLL(None)
        self.shim.faults_kinds.restype = ctypes.c_char_p
        self.failures = []

    def all(self, faults):
        """Return the counts of points, and of faults that were survived."""
        status, output, kinds = self.run('count', 0)
        found = {'points': len(kinds), 'kinds': Counter(kinds)}
        if status or not self.finished():
            self.failures.append(f'undisturbed: {status} {output}')
        for fault in faults:
            survived = 0
            for point in range(1, len(kinds) + 1):
                status, output, _ = self.run(fault, point)
                wrong = self.judge(fault, status, output)
                survived += not wrong
                if wrong:
                    what = f'{fault} at {point} ({kinds[point - 1]}): {wrong}'
                    self.failures.append(what)
            found[fault] = survived
        return found | {'failures': self.failures}

    def run(self, fault, point):
        """Return the status, the messages and the kinds of points."""
        self.fill()
        log = self.folder.with_suffix('.log')
        kinds = self.folder.with_suffix('.kinds')
        child = os.fork()
        if not child:
            self.child(fault, point, log, kinds)
        status = wait(child)
        found = kinds.read_text().split() if kinds.exists() else []
        return status, log.read_text(), found

    def fill(self):
        """Make the folder with the older files anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name in self.job.files if self.job.replaces else ():
            (self.folder / name).write_bytes(OLD)

    def child(self, fault, point, log, kinds):
        output = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(output, 1), os.dup2(output, 2)
        code = 70
        try:
            where = os.fsencode(self.folder)
            self.shim.faults_arm(where, MODES[fault], point)
            try:
                code = self.job.run(self.data, self.folder) or 0
            finally:
                self.shim.faults_disarm()
            kinds.write_bytes(self.shim.faults_kinds())
        except SystemExit as error:
            code = error.code
        except OSError as error:
            print(f'error: {error}')
            code = 2
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)

    def finished(self):
        """Return whether all files are new, and nothing else is there."""
        return self.states() == {'new'} and not self.strangers()

    def states(self):
        """Return what the files are: old, new, missing or broken."""
        return {self.state(self.folder / name) for name in self.job.files}

    def state(self, path):
        if not path.exists():
            return 'missing'
        if path.is_file() and path.read_bytes() == OLD:
            return 'old'
        try:
            return 'new' if is_whole(path) else 'broken'
        except Exception:
            return 'broken'

    def strangers(self):
        """Return what is there besides the files."""
        known = {self.folder / name for name in self.job.files}
        known |= {parent for path in known for parent in path.parents}
        # A history of another training is kept under another name.
        return [
            path.name
            for path in self.folder.rglob('*')
            if path not in known
            and not any(
                parent in known - {self.folder, *self.folder.parents}
                for parent in path.parents
            )
            and not re.fullmatch(r'.*\.\d+\.jsonl', path.name)
        ]

    def judge(self, fault, status, output):
        """Return what is wrong, in words."""
        before = 'old' if self.job.replaces else 'missing'
        states = self.states()
        if not states <= {before, 'new'}:
            return f'files are {states}'
        if fault in KILLS:
            if status != -signal.SIGKILL:
                return f'ended with {status}: {output}'
            return self.again()
        if status == 0:  # nothing was written any more
            return '' if states == {'new'} else f'ended well: {states}'
        lines = output.strip().splitlines()
        if status != 2 or REASONS[fault] not in lines[-1]:
            return f'ended with {status}: {output}'
        if len([line for line in lines if 'rror' in line]) > 1:
            return f'more than one line: {output}'
        kept = states == {before} or self.job.steps
        if fault == 'full' and not (kept and not self.strangers()):
            return f'files are {states}, and {self.strangers()}'
        return ''

    def again(self):
        """Run the job in what a kill left."""
        log = self.folder.with_suffix('.log')
        child = os.fork()
        if not child:
            self.child('count', 0, log, self.folder.with_suffix('.kinds'))
        status = wait(child)
        if status or not self.finished():
            return f'again: {status} {self.states()} {self.strangers()}'
        return ''


def wait(child):
    """Return how a child ended; one that hangs is killed, and that said."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return f'nothing for {LIMIT} s'


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('jobs', nargs='+', choices=JOBS)
    parser.add_argument('--faults', nargs='+', default=tuple(MODES)[1:])
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    found = {}
    with tempfile.TemporaryDirectory() as name:
        data, scratch = Path(name, 'data'), Path(name, 'scratch')
        data.mkdir(), scratch.mkdir()
        prepare(data)
        for job in args.jobs:
            warm = scratch / 'warm'
            warm.mkdir()
            with contextlib.redirect_stdout(sys.stderr):
                JOBS[job].run(data, warm)  # imports what the forks then have
            shutil.rmtree(warm)
            survey = Survey(job, JOBS[job], data, scratch)
            found[job] = survey.all(args.faults)
    print(json.dumps(found))


if __name__ == '__main__':
    main()
