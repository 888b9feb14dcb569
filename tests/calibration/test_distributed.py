"""Two processes: one average over the mini-batches of both."""

import torch
import torch.distributed as dist
from torch import multiprocessing as mp
from torch import nn

from tests.norms.cases import assert_close, randomize
from whiten_plugins.calibration import batch_average
from whiten_plugins.norms import BW, SN, SyncSN

STEPS = 3


def batches(rank):
    """Mini-batches of one process, other sizes in each."""
    generator = torch.Generator().manual_seed(rank)
    return [
        torch.randn(2 + rank, 8, 4, 5, generator=generator) + rank * step
        for step in range(STEPS)
    ]


def networks():
    """By name; of one norm, so that both ranks' inputs do not depend on
    whether statistics are shared."""
    norms = {
        'SN': SN(8),
        'BW': BW(8, num_pergroup=2),
        'SyncSN': SyncSN(8),
        'BN': nn.BatchNorm2d(8),
    }
    for norm in norms.values():
        randomize(norm, seed=0)
    return norms


def worker(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/rendezvous',
        rank=rank,
        world_size=2,
    )
    norms = networks()
    random = {}
    for norm in norms.values():
        batch_average(norm, batches(rank))
        batch_average(nn.Sequential(norm, Noise(random)), batches(rank))
    states = {name: norm.state_dict() for name, norm in norms.items()}
    torch.save((states, random['number']), f'{folder}/{rank}.pt')


class Noise(nn.Module):
    """Notes a random number."""

    def __init__(self, noted):
        super().__init__()
        self.noted = noted

    def forward(self, x):
        self.noted['number'] = torch.rand(())
        return x


def test_processes_average_over_all_of_their_batches(tmp_path):
    # Nothing runs backward, so no thread of autograd is lost by forking.
    mp.start_processes(worker, (str(tmp_path),), nprocs=2, start_method='fork')
    states, numbers = zip(
        *(torch.load(tmp_path / f'{rank}.pt') for rank in range(2))
    )
    expected = networks()
    every = [x for rank in range(2) for x in batches(rank)]
    together = [torch.cat(pair) for pair in zip(batches(0), batches(1))]
    for name, norm in expected.items():
        batch_average(norm, together if name == 'SyncSN' else every)
        for key, value in norm.state_dict().items():
            if value.is_floating_point():
                for state in states:
                    assert_close(state[name][key], value, 1e-6)
    assert numbers[0] != numbers[1]  # other RoIs in each process
