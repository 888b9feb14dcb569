"""Several processes equal one process on the whole batch.

All cases of one world size run in one set of gloo processes, which write what
they saw to a file each; the tests then compare the files with the reference
on the whole batch.
"""

import pytest
import torch
from torch import multiprocessing as mp

from .cases import Case, assert_close, random_input
from .processes import CASES, LIMIT, SPLITS, STEPS, Split, worker

TOLERANCE = 1e-9  # in float64


@pytest.fixture(scope='module')
def seen(tmp_path_factory):
    """{world size: what each rank saw}; processes are started on demand."""
    done = {}

    def of(world_size):
        if world_size not in done:
            folder = tmp_path_factory.mktemp(f'world{world_size}')
            done[world_size] = launch(world_size, folder)
        return done[world_size]

    return of


def launch(world_size, folder):
    context = mp.spawn(
        worker, (world_size, str(folder)), nprocs=world_size, join=False
    )
    for process in context.processes:
        process.join(timeout=3 * LIMIT.total_seconds())
    hanging = [p for p in context.processes if p.is_alive()]
    for process in hanging:
        process.kill()
    assert not hanging, 'the processes wait for one another'
    ranks = [
        torch.load(folder / f'{rank}.pt', weights_only=False)
        for rank in range(world_size)
    ]
    for rank, results in enumerate(ranks):
        assert 'error' not in results, f'rank {rank}: {results["error"]}'
    return ranks


def all_splits():
    return [
        pytest.param(world_size, case, name, id=f'{world_size}-{name}-{case}')
        for world_size, splits in SPLITS.items()
        for name, split in splits.items()
        for case in CASES
        if case.defined_for((12, 8, *split.trailing))
    ]


@pytest.mark.parametrize('world_size, case, name', all_splits())
def test_equals_one_process_on_the_whole_batch(seen, world_size, case, name):
    split = SPLITS[world_size][name]
    ranks = [results[str(case), name] for results in seen(world_size)]
    _, expected = case.pair()
    for number in range(STEPS):
        x, grad = split.whole(number)
        x.requires_grad_()
        expected.zero_grad()
        y = expected(x)
        (y * grad).sum().backward()
        steps = [rank['steps'][number] for rank in ranks]
        for rank, result in enumerate(steps):
            assert_close(
                result['output'], split.part(y.detach(), rank), TOLERANCE
            )
            if rank in split.without_input_grad:
                assert result['input'] is None
            else:
                wanted = split.part(x.grad, rank)
                assert_close(result['input'], wanted, TOLERANCE)
            for parameter, value in expected.named_parameters():
                wanted = value.grad
                if wanted is None:  # logits of hard ratios
                    wanted = torch.zeros_like(value)
                actual = result['parameters'][parameter] * world_size
                assert_close(actual, wanted, TOLERANCE)
    expected.eval()
    y = expected(split.whole(STEPS)[0]).detach()
    for rank, result in enumerate(ranks):
        for buffer, value in expected.named_buffers():
            assert_close(result['buffers'][buffer], value, TOLERANCE)
        assert_close(
            result['evaluation']['output'], split.part(y, rank), TOLERANCE
        )


@pytest.mark.parametrize('world_size, case, name', all_splits())
def test_one_all_reduce_a_direction(seen, world_size, case, name):
    """None in evaluation, nor where no statistic is of the batch."""
    needed = int('bn' in case.kwargs.get('stats', ('bn',)))
    for results in seen(world_size):
        result = results[str(case), name]
        for taken in result['steps']:
            assert taken['forward collectives'] == needed
            assert taken['backward collectives'] == needed
        assert result['evaluation']['forward collectives'] == 0
        assert result['evaluation']['backward collectives'] == 0


def test_one_all_reduce_without_gradients(seen):
    for results in seen(3):
        assert results['no_grad']['collectives'] == 1


@pytest.mark.parametrize('world_size', [2, 3])
def test_process_group(seen, world_size):
    case = Case('SyncSW', dict(num_pergroup=4, sw_type=5))
    split = Split((2, 1) + (2,) * (world_size - 2))
    x, grad = split.whole(0)
    groups = [(slice(0, 3), [0, 1])] + [
        (slice(2 * rank - 1, 2 * rank + 1), [rank])
        for rank in range(2, world_size)
    ]
    for samples, members in groups:
        _, expected = case.pair()
        part = x[samples].requires_grad_()
        y = expected(part)
        (y * grad[samples]).sum().backward()
        results = [seen(world_size)[rank]['subgroup'] for rank in members]
        for name, wanted in (('output', y.detach()), ('input', part.grad)):
            actual = torch.cat([result[name] for result in results])
            assert_close(actual, wanted, TOLERANCE)


def test_maps_of_other_sizes_count_by_their_elements(seen):
    """Batch whitening of all positions, as of so many vectors."""
    ranks = [results['sizes'] for results in seen(3)]
    _, expected = Case('SyncBW', dict(num_pergroup=4)).pair()
    inputs = [
        random_input((2, 8, 3 + rank, 4), seed=rank) for rank in range(3)
    ]
    grads = [
        random_input(x.shape, seed=rank + 50) for rank, x in enumerate(inputs)
    ]

    def vectors(maps):
        return torch.cat([x.transpose(0, 1).flatten(1).T for x in maps])

    x = vectors(inputs).requires_grad_()
    y = expected(x)
    (y * vectors(grads)).sum().backward()
    for name, wanted in (('output', y.detach()), ('input', x.grad)):
        actual = vectors([result[name] for result in ranks])
        assert_close(actual, wanted, TOLERANCE)
    for result in ranks:
        for name, buffer in expected.named_buffers():
            assert_close(result['buffers'][name], buffer, TOLERANCE)


def test_half_precision_across_processes(seen):
    compare_precision(seen, 'half', torch.float16, 0, 1e-5)


def test_mean_far_from_zero_across_processes(seen):
    compare_precision(seen, 'far', torch.float32, 300, 1e-3)


def compare_precision(seen, name, dtype, offset, tolerance):
    ranks = [results['precision'][name] for results in seen(3)]
    _, expected = Case('SyncSW', dict(num_pergroup=4)).pair()
    x, grad = Split((2, 2, 2)).whole(0)
    x = (x + offset).to(dtype).double().requires_grad_()
    y = expected(x)
    (y * grad.to(dtype).double()).sum().backward()
    for key, wanted in (('output', y.detach()), ('input', x.grad)):
        actual = torch.cat([result[key] for result in ranks])
        assert actual.dtype == dtype
        assert_close(actual, wanted, tolerance)


@pytest.mark.parametrize('world_size', [2, 3])
def test_a_single_value_in_all_processes_gives_the_bias(seen, world_size):
    """As torch's SyncBatchNorm: no error, no deadlock, nothing infinite."""
    for rank, results in enumerate(seen(world_size)):
        result = results['single value']
        assert result['output'].shape == (int(rank == 0), 8, 1, 1)
        assert result['output'].abs().sum() == 0
        for buffer in result['buffers'].values():
            assert buffer.isfinite().all()


@pytest.mark.parametrize('world_size', [2, 3])
@pytest.mark.parametrize('case', CASES, ids=str)
def test_no_element_in_any_process(seen, world_size, case):
    """As a mask head without a positive RoI on any GPU."""
    for results in seen(world_size):
        result = results['all empty', str(case)]
        assert result['kept']
        for name, gradient in result['gradients'].items():
            assert gradient.abs().sum() == 0, name
        assert result['next'].isfinite().all()


def test_frozen_norm_takes_part_only_where_another_process_learns(seen):
    for results in seen(3):
        assert results['frozen'] == {'frozen': False, 'with rank 1': True}
