"""The C++ kernels under the sanitizers of the compiler.

``make test-sanitizers`` builds them with each and runs the native backend's
tests, and threads of Python that use norms at once. A planted fault shows
every time that the sanitizer sees these kernels at all.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    'tests/ops/backends/native/test_native.py',
    'tests/ops/backends/native/test_fused.py',
    'tests/ops/backends/test_norms.py',
)

OVERFLOW = """
import torch
from whiten_plugins import SN
from whiten_plugins.ops.backends.native.fused import FusedNorm

class TooSmall(FusedNorm):
    _state_size = property(lambda self: 1, lambda self, size: None)

FusedNorm.__new__ = lambda cls, *_: object.__new__(TooSmall)
SN(64)(torch.randn(2, 64, 8, 8))
"""

# Each thread has tensors of its own; in evaluation all share the modules.
THREADS = """
import sys, threading, torch
from whiten_plugins import GW, SN, SW

SHARED = '--shared' in sys.argv
modules = [SN(32).eval(), SW(32).eval(), GW(32, num_groups=16).eval()]
x = torch.randn(2, 32, 12, 12)

def work():
    for _ in range(30):
        for module in modules:
            if SHARED:
                module.train()
                module(x)
            else:
                module.eval()(x.clone())
        own = [SN(32), SW(32), GW(32, num_groups=16)]
        for module in own:
            y = module(x.clone().requires_grad_())
            y.sum().backward()

threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print('all done')
"""


def preloaded(*libraries):
    """Return the paths of the compiler's libraries; skip where one lacks."""
    if not shutil.which('g++'):
        pytest.skip('needs g++')
    paths = []
    for library in libraries:
        command = ['g++', f'-print-file-name={library}']
        paths.append(subprocess.check_output(command, text=True).strip())
        if not Path(paths[-1]).is_file():
            pytest.skip(f'g++ has no {library}')
    return ' '.join(paths)


def run(sanitizer, library, cache, *command, **environment):
    """Run a program with kernels that were built with a sanitizer."""
    flags = f'-g -fno-omit-frame-pointer -fsanitize={sanitizer}'
    return subprocess.run(
        ['setarch', '-R', sys.executable, '-W', 'ignore', *command],
        cwd=ROOT,
        env={
            **os.environ,
            'CXX': f'g++ {flags}',
            # Without C++'s own library no exception of another one is caught.
            'LD_PRELOAD': preloaded(library, 'libstdc++.so'),
            'XDG_CACHE_HOME': str(cache),
            'WHITEN_PLUGINS_BACKEND': 'native',
            **environment,
        },
        capture_output=True,
        text=True,
        errors='replace',
    )


ADDRESS = dict(
    # Python keeps what it allocates until its end.
    ASAN_OPTIONS='detect_leaks=0:abort_on_error=0',
    UBSAN_OPTIONS='halt_on_error=1:print_stacktrace=1',
)
THREAD = dict(
    OMP_NUM_THREADS='1',  # the threads of OpenMP are not seen to wait
    TSAN_OPTIONS='ignore_noninstrumented_modules=1:exitcode=66',
)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_address_and_undefined_behaviour(tmp_path, held):
    def sanitized(*command):
        return run(
            'address,undefined', 'libasan.so', tmp_path, *command, **ADDRESS
        )

    planted = sanitized('-c', OVERFLOW)
    assert 'heap-buffer-overflow' in planted.stderr, planted.stderr[-3000:]
    result = sanitized(
        '-m', 'pytest', '-q', '-s', '-p', 'no:cacheprovider', *TESTS
    )
    text = result.stdout + result.stderr
    assert result.returncode == 0, text[-5000:]
    assert 'AddressSanitizer' not in text and 'runtime error' not in text
    held(
        'address and undefined-behaviour sanitizers: {passed} tests of the '
        'C++ kernels without a finding; a planted overflow is found',
        passed=int(re.search(r'(\d+) passed', result.stdout)[1]),
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_races_between_threads(tmp_path, held):
    def sanitized(*command):
        return run('thread', 'libtsan.so', tmp_path, *command, **THREAD)

    planted = sanitized('-c', THREADS, '--shared')
    assert 'data race' in planted.stderr, planted.stderr[-3000:]
    result = sanitized('-c', THREADS)
    assert 'all done' in result.stdout, result.stderr[-3000:]
    assert result.returncode == 0 and 'data race' not in result.stderr
    held(
        'thread sanitizer: 4 threads train norms of their own and evaluate '
        'shared ones, 30 times 3 types, without a finding; training a shared '
        'one, which no framework allows, is found'
    )
