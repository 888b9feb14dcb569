"""Norms in forks, spawned workers, threads, replicas and among signals.

``python -m tests.reliability.processes NAME ...`` runs functions of this
module in one process, each after kernels ran on two threads, and prints what
they found as JSON.
"""

import copy
import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import multiprocessing as mp
from torch.utils.data import DataLoader, Dataset

from whiten_plugins.norms import GW, SN, SW

LIMIT = 60  # seconds that a forked process may take
THREADS = 4
STEPS = 40


def norms():
    torch.manual_seed(0)
    return [SN(32), SW(32, num_pergroup=16), GW(32, num_groups=8)]


def images(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 32, 40, 40, generator=generator)


def train(norm, steps=1, seed=0):
    """Return the output of the last step, all gradients and buffers."""
    norm = copy.deepcopy(norm)
    for step in range(steps):
        x = images(seed + step).requires_grad_()
        y = norm(x)
        norm.zero_grad()
        y.square().sum().backward()
    gradients = [p.grad for p in norm.parameters()]
    return [y.detach(), x.grad, *gradients, *norm.buffers()]


def same(first, second):
    return all(a.equal(b) for a, b in zip(first, second))


def close(first, second):
    return all(
        torch.allclose(a, b, rtol=1e-4, atol=1e-4)
        for a, b in zip(first, second)
    )


def fork():
    """Forward, backward and torch's own threads in forked processes."""
    found = {}
    x = torch.randn(2000, 2000)
    expected = [train(norm) for norm in norms()]
    for name, work in {
        'forward': lambda: all(
            norm(images()).isfinite().all()
            for norm in [norm.eval() for norm in norms()]
        ),
        'training step': lambda: all(
            close(train(n), e) for n, e in zip(norms(), expected)
        ),
        'torch alone': lambda: bool((x @ x + 1).isfinite().all()),
        'fork of a fork': lambda: in_fork(lambda: train(norms()[1])) == 0,
    }.items():
        found[name] = in_fork(work)
    return found


def in_fork(work):
    """Return the exit code of a fork that works, or says that it hangs."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 'hangs'


class Normalized(Dataset):
    """Images that a norm has been over: what an augmentation may do."""

    def __init__(self):
        self.norm = SW(32, num_pergroup=16)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        with torch.no_grad():
            return self.norm.eval()(images(index))


def loader(method):
    """Compare the workers of a data loader with this process."""
    data = Normalized()
    expected = [data[index] for index in range(len(data))]
    workers = DataLoader(
        data,
        None,
        num_workers=2,
        multiprocessing_context=method,
        timeout=LIMIT,
    )
    return {'samples': sum(close([a], [b]) for a, b in zip(workers, expected))}


def loader_fork():
    return loader('fork')


def loader_spawn():
    return loader('spawn')


def pool():
    """Train in the processes of a pool."""
    with mp.get_context('fork').Pool(2) as workers:
        done = workers.map_async(_finite_steps, range(4))
        return {'trainings': sum(done.get(timeout=LIMIT))}


def _finite_steps(seed):
    results = train(norms()[1], 3, seed)
    return int(all(bool(v.isfinite().all()) for v in results))


def threads():
    """Train in several threads at once, and as much one after the other."""
    jobs = [(n, s) for s in range(THREADS) for n in norms()]
    expected = [train(n, STEPS, s) for n, s in jobs]
    with ThreadPoolExecutor(THREADS) as workers:
        done = workers.map(lambda job: train(job[0], STEPS, job[1]), jobs)
        equal = sum(same(a, b) for a, b in zip(done, expected))
    shared = norms()[1].eval()
    with torch.no_grad(), ThreadPoolExecutor(THREADS) as workers:
        wanted = [shared(images(s)) for s in range(16)]
        got = workers.map(lambda s: _evaluated(shared, s), range(16))
        equal_shared = sum(a.equal(b) for a, b in zip(got, wanted))
    return {'trainings': len(jobs), 'equal': equal, 'shared': equal_shared}


def _evaluated(norm, seed):
    with torch.no_grad():
        return norm(images(seed))


def replicas():
    """Do what DataParallel does: replicas in threads, each with a part.

    ``replicate`` itself wants GPUs. It copies the parameters by a function
    that autograd knows, and gives the first replica the module's own buffers.
    """
    equal = 0
    for norm in norms():
        expected = copy.deepcopy(norm)
        x = images()
        made = []
        for index in range(2):
            replica = norm._replicate_for_data_parallel()
            replica._former_parameters = {}
            for name, value in norm._parameters.items():
                value = None if value is None else value.expand_as(value)
                replica._parameters.pop(name, None)
                object.__setattr__(replica, name, value)
            for name, value in norm._buffers.items():
                replica._buffers[name] = (
                    value if index == 0 or value is None else value.clone()
                )
            made.append(replica)
        with ThreadPoolExecutor(2) as workers:
            outputs = list(
                workers.map(
                    lambda pair: pair[0](pair[1]), zip(made, x.chunk(2))
                )
            )
        torch.cat(outputs).square().sum().backward()
        parts = [expected(x.chunk(2)[0])]
        buffers = [b.clone() for b in expected.buffers()]
        parts.append(expected(x.chunk(2)[1]))
        torch.cat(parts).square().sum().backward()
        equal += (
            close(outputs, parts)
            and close(
                [p.grad for p in norm.parameters()],
                [p.grad for p in expected.parameters()],
            )
            and close(norm.buffers(), buffers)
        )
    return {'norms': equal}


def signals():
    """Train while a signal arrives each millisecond; then be interrupted."""
    expected = [train(norm, STEPS) for norm in norms()]
    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    done = [train(norm, STEPS) for norm in norms()]
    signal.setitimer(signal.ITIMER_REAL, 0)
    equal = sum(same(a, b) for a, b in zip(done, expected))
    interrupted = sum(_interrupted(delay) for delay in range(1, 21))
    after = [train(norm, STEPS) for norm in norms()]
    return {
        'signals': len(seen),
        'equal': equal,
        'interrupted': interrupted,
        'equal_after': sum(same(a, b) for a, b in zip(after, expected)),
    }


def _interrupted(milliseconds):
    """Return whether Ctrl-C after a while ends a training."""

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
    try:
        train(norms()[1], 10_000)
    except KeyboardInterrupt:
        return True
    return False


def main():
    torch.set_num_threads(2)
    print(
        json.dumps(
            {
                name: (train(norms()[1]), globals()[name]())[1]
                for name in sys.argv[1:]
            }
        )
    )


if __name__ == '__main__':
    main()
