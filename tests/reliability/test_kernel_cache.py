"""Ranks that start together, and caches that are not what they should be.

The compiler is a stand-in that takes a third of a second; processes, locks
and files are real.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from whiten_plugins.ops.backends.native import build
from whiten_plugins.utils import lock

COMPILER = """#!/bin/sh
[ "$1" = --version ] && { echo stand-in 1.0; exit; }
echo $$ >> "$LOG"
sleep ${SECONDS_OF_COMPILER:-0.3}
while [ "$1" != -o ]; do shift; done
head -c 300000 /dev/zero > "$2"
"""
RANKS = 8


@pytest.fixture
def compilations(tmp_path, monkeypatch):
    """The process ids of the compilers that were started."""
    compiler, log = tmp_path / 'compiler', tmp_path / 'log'
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    log.touch()
    monkeypatch.setenv('CXX', str(compiler))
    monkeypatch.setenv('LOG', str(log))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return lambda: [int(line) for line in log.read_text().split()]


def library():
    """Find the kernels as a new process does."""
    return build.library.__wrapped__()


def start(call=library):
    """Call in a process of its own, which ends with 0 if nothing is raised.

    None of torch's threads are needed in it: a fork is enough.
    """
    child = os.fork()
    if child:
        return child
    try:
        call()
        os._exit(0)
    except BaseException:
        os._exit(1)


def status(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_many_ranks_one_compiles(compilations, held):
    ranks = [start() for _ in range(RANKS)]
    assert [status(rank) for rank in ranks] == [0] * RANKS
    assert len(compilations()) == 1
    held(
        '{ranks} processes start together without kernels: {compilations} '
        'compiles, the others wait and use its result',
        ranks=RANKS,
        compilations=len(compilations()),
    )


def test_a_rank_that_is_killed_holds_up_nobody(
    compilations, held, monkeypatch
):
    monkeypatch.setenv('SECONDS_OF_COMPILER', '2')
    first = start()
    wait_for(compilations)
    others = [start() for _ in range(RANKS - 1)]
    time.sleep(0.1)
    killed = time.monotonic()
    os.kill(first, signal.SIGKILL)
    assert status(first) == -signal.SIGKILL
    assert [status(rank) for rank in others] == [0] * (RANKS - 1)
    assert len(compilations()) == 2
    target = library()
    left = {p.name for p in target.parent.iterdir()}
    assert left == {target.name, target.with_suffix('.lock').name}
    held(
        'the process that compiles is killed with SIGKILL while {waiting} '
        'wait: one of them compiles, all are served {seconds} s later and '
        'nothing is left behind',
        waiting=RANKS - 1,
        seconds=round(time.monotonic() - killed, 1),
    )


def test_a_rank_that_is_stopped_holds_up_nobody_for_long(
    compilations, monkeypatch, held
):
    patience = lock.PATIENCE
    monkeypatch.setattr(lock, 'PATIENCE', 0.3)
    first = start()
    wait_for(compilations)
    os.kill(first, signal.SIGSTOP)
    try:
        assert status(start()) == 0
    finally:
        os.kill(first, signal.SIGCONT)
    assert status(first) == 0
    assert build._is_whole(library())
    held(
        'the process that compiles is stopped (SIGSTOP): another waits '
        '{patience} s (here {here} s), then compiles for itself; the first '
        'one goes on unharmed',
        patience=patience,
        here=lock.PATIENCE,
    )


def test_without_locks_everybody_compiles(compilations, monkeypatch, held):
    def refuse(*_):
        raise OSError(95, 'Operation not supported')

    monkeypatch.setattr(lock.fcntl, 'flock', refuse)
    ranks = [start() for _ in range(3)]
    assert [status(rank) for rank in ranks] == [0] * 3
    assert build._is_whole(library())
    held(
        'a file system without locks: each of {ranks} processes compiles for '
        'itself, and all are served',
        ranks=3,
    )


DAMAGES = {
    'empty': lambda content: b'',
    'cut off': lambda content: content[: len(content) // 2],
    'without its last byte': lambda content: content[:-1],
    'a bit turned over': lambda c: c[:999] + bytes([c[999] ^ 1]) + c[1000:],
    'longer': lambda content: content + b'\0',
    'zeros': lambda content: bytes(len(content)),
    'without its digest': lambda content: content[:-32],
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_library_is_compiled_again(compilations, damage):
    target = library()
    content = target.read_bytes()
    target.write_bytes(DAMAGES[damage](content))
    with pytest.warns(UserWarning, match='is damaged'):
        assert library() == target
    assert target.read_bytes() == content
    assert len(compilations()) == 2


def test_damage_is_repaired_once_for_all_ranks(compilations, held):
    target = library()
    target.write_bytes(target.read_bytes()[:-100])
    ranks = [start() for _ in range(RANKS)]
    assert [status(rank) for rank in ranks] == [0] * RANKS
    assert len(compilations()) == 2
    held(
        'a library that is empty, cut off, changed in one bit or longer '
        '({damages} kinds of damage): {ranks} processes compile it once more',
        damages=len(DAMAGES),
        ranks=RANKS,
    )


def test_a_library_of_another_processor_is_not_loaded(
    compilations, monkeypatch, held
):
    mine = library()
    monkeypatch.setattr(build, '_processor', lambda: 'another')
    theirs = library()
    assert mine != theirs
    theirs.write_bytes(mine.read_bytes())
    with pytest.warns(UserWarning, match='of another machine'):
        library()
    assert build._is_whole(theirs) and len(compilations()) == 3
    held(
        'a library of another processor, also under the name of this one, is '
        'not loaded: {compilations} compilations for 2 processors and a copy',
        compilations=len(compilations()),
    )


FAULTS = {
    'killed for memory': ('kill -9 $$', 'was killed, as where memory is sh'),
    'out of memory': ('echo "virtual memory exhausted" >&2; exit 1', 'exhau'),
    'no space': ('echo "No space left on device" >&2; exit 1', 'No space'),
    'no output': ('exit 0', 'cannot write'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_failed_build_is_one_clear_error(fault, compilations, tmp_path):
    script, message = FAULTS[fault]
    version = '[ "$1" = --version ] && exit 0'
    (tmp_path / 'compiler').write_text(f'#!/bin/sh\n{version}\n{script}\n')
    with pytest.raises(build.BuildError, match=message):
        library()
    left = (tmp_path / 'cache/whiten_plugins/kernels').iterdir()
    assert [path.suffix for path in left] == ['.lock']


def test_ranks_of_a_failed_build_all_say_so(compilations, tmp_path, held):
    script = '[ "$1" = --version ] && exit 0; exit 1'
    Path(os.environ['CXX']).write_text(f'#!/bin/sh\n{script}\n')
    ranks = [start() for _ in range(RANKS)]
    assert [status(rank) for rank in ranks] == [1] * RANKS
    held(
        'a compilation that fails ({faults}): one error that names the '
        'compiler and the reason, in each of {ranks} processes; norms then '
        'run in PyTorch, with a warning',
        faults=', '.join(FAULTS),
        ranks=RANKS,
    )
