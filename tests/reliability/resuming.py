"""Trainings that are killed, and what they are when they have been resumed.

``python -m tests.reliability.resuming single|ranks`` prints JSON. ``single``
wants ``faults.c`` preloaded: a training is killed at write points of its work
directory. ``ranks``: one of two processes is killed in the middle of a step.
Every training is resumed to its end and compared, bit for bit, with one that
nothing disturbed.
"""

import argparse
import ctypes
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from tests.reliability.faults import MODES, wait
from tests.training import NormNetwork, image_loader
from whiten_plugins.norms import SN, SW, SyncSN, SyncSW
from whiten_plugins.runner import set_resume

ITERATIONS = 8
INTERVAL = 2
RANKS = 2
KILLED_AT = (1, 3, 6)


class Noise(nn.Module):
    """Random numbers of each of the generators that a training draws from."""

    def forward(self, x):
        if not self.training:
            return x
        noise = random.random() + np.random.rand() + torch.rand(())
        return x * (1 + 0.1 * noise)


def network(synchronized=False):
    torch.manual_seed(0)
    first, second = (SyncSN, SyncSW) if synchronized else (SN, SW)
    return NormNetwork(
        nn.Sequential(first(8), Noise(), nn.Dropout(0.2)),
        nn.Sequential(second(8, num_pergroup=4), Noise()),
    )


def train(work_dir, resume=False, synchronized=False, hooks=()):
    """Train, from the latest checkpoint if there is one; return a digest."""
    cfg = Config(dict(work_dir=str(work_dir)))
    if synchronized:
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        )
    set_resume(cfg, 'auto' if resume else None)
    runner = Runner(
        model=network(synchronized),
        work_dir=str(work_dir),
        train_dataloader=image_loader(2, 'InfiniteSampler'),
        train_cfg=dict(by_epoch=False, max_iters=ITERATIONS),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=dict(
            type='PolyLR', begin=0, end=ITERATIONS, by_epoch=False
        ),
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook',
                by_epoch=False,
                interval=INTERVAL,
                max_keep_ckpts=2,
            ),
            logger=dict(type='LoggerHook', interval=INTERVAL),
        ),
        custom_hooks=[
            dict(type='RandomStateHook'),
            dict(type='RatioHook', interval=1),
            *hooks,
        ],
        resume=bool(cfg.get('resume')),
        load_from=cfg.get('load_from'),
        randomness=dict(seed=0),
        launcher='pytorch' if synchronized else 'none',
        log_level='ERROR',
        experiment_name='resumed',
        cfg=cfg,
    )
    runner.train()
    whole = hashlib.sha256()
    model = getattr(runner.model, 'module', runner.model)
    for value in model.state_dict().values():
        whole.update(value.numpy().tobytes())
    for state in runner.optim_wrapper.state_dict()['state'].values():
        whole.update(state['momentum_buffer'].numpy().tobytes())
    whole.update(repr(random.random()).encode())
    whole.update(np.random.rand(1).tobytes() + torch.rand(1).numpy().tobytes())
    return whole.hexdigest()


def in_fork(work, result):
    """Return the exit code of a fork that writes what it returns to a file."""
    result.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        code = 1
        try:
            silence = os.open(
                result.with_suffix('.log'),
                os.O_CREAT | os.O_TRUNC | os.O_WRONLY,
            )
            os.dup2(silence, 1), os.dup2(silence, 2)
            result.write_text(work())
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return wait(child)


def single(folder, stride):
    """Kill at every ``stride``-th write point, before and within it."""
    shim = ctypes.CDLL(None)
    shim.faults_kinds.restype = ctypes.c_char_p
    work, result = folder / 'work', folder / 'result'

    def counted():
        shim.faults_arm(os.fsencode(work), MODES['count'], 0)
        digest = train(work)
        return f'{digest} {shim.faults_disarm()}'

    assert in_fork(counted, result) == 0, result.with_suffix(
        '.log'
    ).read_text()
    expected, points = result.read_text().split()
    found = {'points': int(points), 'kills': 0, 'equal': 0, 'failures': []}
    for point in range(1, int(points) + 1, stride):
        for fault in ('kill', 'within'):
            shutil.rmtree(work, ignore_errors=True)

            def killed(point=point, fault=fault):
                shim.faults_arm(os.fsencode(work), MODES[fault], point)
                return train(work)

            status = in_fork(killed, result)
            found['kills'] += status == -signal.SIGKILL
            status = in_fork(lambda: train(work, resume=True), result)
            if status == 0 and result.read_text() == expected:
                found['equal'] += 1
            else:
                log = result.with_suffix('.log').read_text()[-300:]
                found['failures'].append(f'{fault} {point}: {status} {log}')
    return found


def ranks(folder, stride):
    """Kill the second process in its backward pass."""
    found = {'kills': 0, 'equal': 0, 'failures': [], 'seconds': []}
    start(folder / 'undisturbed', folder)
    expected = digests(folder)
    for iteration in KILLED_AT[::stride]:
        work = folder / f'killed{iteration}'
        codes, seconds = start(work, folder, kill=iteration)
        found['kills'] += codes[1] == -signal.SIGKILL
        found['seconds'].append(seconds)
        if codes[0] == 0:
            found['failures'].append(f'{iteration}: the other went on')
        codes, _ = start(work, folder, resume=True)
        if codes == [0, 0] and digests(folder) == expected:
            found['equal'] += 1
        else:
            log = (folder / 'rank0.log').read_text()[-300:]
            found['failures'].append(f'{iteration}: {codes} {log}')
    return found


def digests(folder):
    return [(folder / f'rank{rank}').read_text() for rank in range(RANKS)]


def start(work, folder, resume=False, kill=None):
    """Run both processes; return their exit codes, and how long the first
    one ran on after the second was killed."""
    meeting = folder / f'group{time.monotonic_ns()}'
    children = []
    for rank in range(RANKS):
        child = os.fork()
        if not child:
            hook = [Killer(kill)] if kill is not None and rank == 1 else []
            run_rank(rank, meeting, work, resume, folder, hook)
        children.append(child)
    second = wait(children[1])
    begin = time.monotonic()
    first = wait(children[0])
    return [first, second], round(time.monotonic() - begin, 1)


def run_rank(rank, meeting, work, resume, folder, hooks):
    code = 1
    log = os.open(
        folder / f'rank{rank}.log', os.O_CREAT | os.O_TRUNC | os.O_WRONLY
    )
    os.dup2(log, 1), os.dup2(log, 2)
    try:
        os.environ['LOCAL_RANK'] = str(rank)
        dist.init_process_group(
            'gloo',
            init_method=f'file://{meeting}',
            rank=rank,
            world_size=RANKS,
            timeout=timedelta(seconds=60),
        )
        digest = train(work, resume, True, hooks)
        (folder / f'rank{rank}').write_text(digest)
        dist.barrier()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


class Killer:
    """A hook that ends its process in the backward pass of an iteration."""

    def __new__(cls, iteration):
        from mmengine.hooks import Hook

        class Kills(Hook):
            def before_train_iter(self, runner, batch_idx, data_batch=None):
                if runner.iter == iteration:
                    norm = runner.model.module.backbone[1][0]
                    norm.weight.register_hook(
                        lambda _: os.kill(os.getpid(), signal.SIGKILL)
                    )

        return Kills()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=('single', 'ranks'))
    parser.add_argument('--stride', type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        found = globals()[args.what](Path(name), args.stride)
    print(json.dumps(found))


if __name__ == '__main__':
    main()
