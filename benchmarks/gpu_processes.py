"""Sync norms over processes, compared with one norm on the whole batch."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

from benchmarks.gpu_norms import Results, assert_same, inputs, step
from whiten_plugins.norms.switchable import SN, SW, SyncSN, SyncSW
from whiten_plugins.norms.whitening import ItN, SyncItN

PAIRS = {'SN': (SyncSN, SN), 'SW': (SyncSW, SW), 'ItN': (SyncItN, ItN)}
SHAPE = (8, 5, 7)


def compare(count: int, backend: str) -> str:
    """Run Sync norms in ``count`` processes.

    Process k has k + 1 images.
    """
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_process, (count, backend, folder), count)
    return f'{count} processes, {backend}, uneven batches'


def _process(rank: int, count: int, backend: str, folder: str) -> None:
    device = torch.device('cpu')
    if backend == 'nccl':
        device = torch.device('cuda', rank)
        torch.cuda.set_device(device)
    os.environ['LOCAL_RANK'] = str(rank)
    dist.init_process_group(
        backend,
        init_method=Path(folder, 'store').as_uri(),
        rank=rank,
        world_size=count,
    )
    try:
        for name in PAIRS:
            _check(name, rank, count, device)
    finally:
        dist.destroy_process_group()


def _check(name: str, rank: int, count: int, device: torch.device) -> None:
    images = [index + 1 for index in range(count)]
    x, grad = inputs((sum(images), *SHAPE), device)
    sync, local = (build(SHAPE[0]).to(device) for build in PAIRS[name])
    expected = step(local.double(), x, grad)
    own = slice(sum(images[:rank]), sum(images[: rank + 1]))
    ids = None if device.type == 'cpu' else [device]
    wrapped = DistributedDataParallel(
        sync, device_ids=ids, broadcast_buffers=False
    )
    # DDP averages the parameters' gradients over processes.
    found = _own(step(wrapped, x[own], count * grad[own]), count)
    for key in ('output', 'input'):
        expected[key] = expected[key][own]
    assert_same(f'Sync{name}', found, expected)


def _own(results: Results, count: int) -> Results:
    results = {
        name.removeprefix('module.'): value for name, value in results.items()
    }
    return {**results, 'input': results['input'] / count}
