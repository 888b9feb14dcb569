"""What the processes of the tests of Sync norms do."""

import traceback
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from whiten_plugins import norms

from .cases import Case, random_input

STEPS = 2
LIMIT = timedelta(seconds=60)

CASES = [
    Case('SyncSN'),
    Case('SyncSN', dict(tie_weight=True, ratio_groups=2)),
    Case('SyncSN', dict(hard=True)),
    Case('SyncSN', dict(stats=('in', 'ln'))),
    Case('SyncSN', dict(stats=('bn',))),
    Case('SyncSW', dict(num_pergroup=4)),
    Case('SyncSW', dict(num_pergroup=4, sw_type=3, tie_weight=True)),
    Case('SyncSW', dict(num_pergroup=4, sw_type=5)),
    Case('SyncSW', dict(num_pergroup=4, sw_type=5, hard=True)),
    Case('SyncSW', dict(num_pergroup=4, sw_type=5, whitening='zca')),
    Case('SyncSW', dict(num_pergroup=4, momentum=None)),
    Case('SyncBW', dict(num_pergroup=4)),
    Case('SyncBW', dict(num_pergroup=4, running='cov')),
    Case('SyncBW', dict(num_pergroup=4, whitening='itn')),
    Case('SyncBW', dict(num_pergroup=1)),
    Case('SyncItN', dict(num_pergroup=4, running='cov')),
    Case('SyncIBN'),
]


@dataclass(frozen=True)
class Split:
    """How many samples each rank has, and who wants an input gradient."""

    sizes: tuple[int, ...]
    trailing: tuple[int, ...] = (4, 5)
    without_input_grad: tuple[int, ...] = ()

    def whole(self, step):
        """The whole batch, and the gradient of its output."""
        shape = (sum(self.sizes), 8, *self.trailing)
        return random_input(shape, step), random_input(shape, step + 50)

    def part(self, tensor, rank):
        return tensor.split(self.sizes)[rank]


SPLITS = {
    2: {
        'even': Split((2, 2)),
        'uneven': Split((3, 1)),
        'empty rank': Split((0, 3)),
        'vectors': Split((5, 7), trailing=()),
        'one by one maps': Split((5, 7), trailing=(1, 1)),
        'input gradient on rank 1 alone': Split(
            (2, 2), without_input_grad=(0,)
        ),
        'no input gradient': Split((1, 2), without_input_grad=(0, 1)),
    },
    3: {
        'uneven': Split((1, 3, 2)),
        'two empty ranks': Split((0, 3, 0)),
        'empty rank without input gradient': Split(
            (2, 0, 1), without_input_grad=(1, 2)
        ),
    },
}


def step(module, x, grad, wants_input_grad=True):
    """Run forward and backward; count the collectives of each direction."""
    x = x.clone().requires_grad_(wants_input_grad)
    before = CALLS['n']
    y = module(x)
    forward = CALLS['n'] - before
    (y * grad).sum().backward()
    backward = CALLS['n'] - before - forward
    return {
        'output': y.detach(),
        'input': x.grad,
        'forward collectives': forward,
        'backward collectives': backward,
    }


CALLS = {'n': 0}


COLLECTIVES = (
    'all_reduce',
    'all_gather',
    'all_gather_into_tensor',
    'all_gather_object',
    'reduce_scatter_tensor',
    'broadcast',
    'reduce',
    'gather',
    'barrier',
)


def count_collectives():
    """Wrap torch.distributed's functions (DDP's own are not among them)."""

    def counted(function):
        def wrapper(*args, **kwargs):
            CALLS['n'] += 1
            return function(*args, **kwargs)

        return wrapper

    for name in COLLECTIVES:
        setattr(dist, name, counted(getattr(dist, name)))


def split_run(case, split, rank):
    """Train under DDP, then evaluate, on this rank's part."""
    norm, _ = case.pair()
    model = DistributedDataParallel(norm, broadcast_buffers=False)
    steps = []
    for number in range(STEPS):
        x, grad = (split.part(t, rank) for t in split.whole(number))
        model.zero_grad()
        wants = rank not in split.without_input_grad
        result = step(model, x, grad, wants)
        result['parameters'] = {
            name: parameter.grad.clone()
            for name, parameter in norm.named_parameters()
        }
        steps.append(result)
    norm.eval()
    x, grad = (split.part(t, rank) for t in split.whole(STEPS))
    return {
        'steps': steps,
        'evaluation': step(norm, x, grad),
        'buffers': dict(norm.named_buffers()),
    }


def no_grad_run(rank):
    """Training-mode statistics without a backward pass."""
    norm, _ = Case('SyncSW', dict(num_pergroup=4)).pair()
    x = Split((2, 2, 2)).whole(0)[0].chunk(3)[rank]
    before = CALLS['n']
    with torch.no_grad():
        norm(x)
    return {'collectives': CALLS['n'] - before}


def subgroup_run(rank):
    """Ranks 0 and 1 normalize together, the others alone."""
    pair = dist.new_group([0, 1])
    rest = [dist.new_group([r]) for r in range(2, dist.get_world_size())]
    group = pair if rank < 2 else rest[rank - 2]
    case = Case('SyncSW', dict(num_pergroup=4, sw_type=5))
    norm, _ = case.pair(seed=0)
    grouped = case.norm(process_group=group).double()
    grouped.load_state_dict(norm.state_dict())
    split = Split((2, 1) + (2,) * len(rest))
    x, grad = (split.part(t, rank) for t in split.whole(0))
    return step(grouped, x, grad)


def sizes_run(rank):
    """Maps of other sizes on each rank: elements count, not samples."""
    norm, _ = Case('SyncBW', dict(num_pergroup=4)).pair()
    x = random_input((2, 8, 3 + rank, 4), seed=rank)
    result = step(norm, x, random_input(x.shape, seed=rank + 50))
    return result | {'buffers': dict(norm.named_buffers())}


def single_value_run(rank):
    """One value per channel in all, which no rank can know beforehand."""
    norm = norms.SyncBW(8)
    y = norm(torch.randn(1 if rank == 0 else 0, 8, 1, 1))
    return {'output': y.detach(), 'buffers': dict(norm.named_buffers())}


def all_empty_run(case):
    """A step in which no process has an element, then one with some."""
    norm, _ = case.pair()
    buffers = {k: v.clone() for k, v in norm.named_buffers()}
    x = torch.zeros(0, 8, 7, 7).double()
    step(norm, x, torch.zeros_like(x))
    gradients = {k: p.grad.clone() for k, p in norm.named_parameters()}
    kept = all(torch.equal(norm.get_buffer(k), v) for k, v in buffers.items())
    y = norm(random_input((2, 8, 7, 7)))
    return {'gradients': gradients, 'kept': kept, 'next': y.detach()}


def frozen_run(rank):
    """Nothing to learn; the input of rank 1 alone needs a gradient, or none
    does."""
    norm, _ = Case('SyncSW', dict(num_pergroup=4)).pair()
    norm.requires_grad_(False)
    x = Split((2, 2, 2)).whole(0)[0].chunk(3)[rank]
    alone = norm(x)
    y = norm(x.clone().requires_grad_(rank == 1))
    y.sum().backward()
    return {'frozen': alone.requires_grad, 'with rank 1': y.requires_grad}


def precision_run(rank):
    """float16 activations and a mean far away: what travels is exact."""
    results = {}
    for name, dtype, offset in (
        ('half', torch.float16, 0),
        ('far', torch.float32, 300),
    ):
        norm, _ = Case('SyncSW', dict(num_pergroup=4)).pair()
        x, grad = Split((2, 2, 2)).whole(0)
        x, grad = (x + offset).to(dtype), grad.to(dtype)
        results[name] = step(
            norm.float(), x.chunk(3)[rank], grad.chunk(3)[rank]
        )
    return results


def run_all(rank, world_size, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/rendezvous',
        rank=rank,
        world_size=world_size,
        timeout=LIMIT,
    )
    count_collectives()
    results = {
        (str(case), name): split_run(case, split, rank)
        for case in CASES
        for name, split in SPLITS[world_size].items()
        if case.defined_for((12, 8, *split.trailing))
    }
    for case in CASES:
        results['all empty', str(case)] = all_empty_run(case)
    results['subgroup'] = subgroup_run(rank)
    if world_size == 3:
        results['no_grad'] = no_grad_run(rank)
        results['sizes'] = sizes_run(rank)
        results['precision'] = precision_run(rank)
        results['frozen'] = frozen_run(rank)
    results['single value'] = single_value_run(rank)
    return results


def worker(rank, world_size, folder):
    try:
        results = run_all(rank, world_size, folder)
    except Exception:
        results = {'error': traceback.format_exc()}
    torch.save(results, f'{folder}/{rank}.pt')
