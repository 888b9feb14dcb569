"""The same seed gives the same training, bit by bit, on as many threads."""

import itertools

import pytest
import torch
from torch import nn

from whiten_plugins import norms
from whiten_plugins.ops.backends import selection
from whiten_plugins.ops.backends.settings import VARIABLE

STEPS = 3
THREADS = (1, 2, 3)
BOUND = 1e-5
"""Of the largest value of a tensor, after three steps on other threads."""
NORMS = {
    'SN': dict(),
    'SW': dict(),
    'SW, zca': dict(stats=('bw', 'ln'), whitening='zca'),
    'GW': dict(num_groups=16),
    'BW': dict(),
    'ItN': dict(),
    'IW': dict(),
    'IBN': dict(),
}

pytestmark = pytest.mark.skipif(
    bool(selection.native_failure()), reason='no C++ kernels here'
)


def network(name):
    torch.manual_seed(0)
    build = getattr(norms, name.partition(',')[0])
    return nn.Sequential(
        nn.Conv2d(32, 32, 1, bias=False),
        build(32, **NORMS[name]),
        nn.ReLU(),
        nn.Conv2d(32, 32, 1, bias=False),
        build(32, **NORMS[name]),
    )


def trained(name, threads, dtype=torch.float32):
    """Train a network, and return its whole state."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        model = network(name)
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
        generator = torch.Generator().manual_seed(1)
        for _ in range(STEPS):
            x = torch.randn(2, 32, 16, 16, generator=generator)
            with torch.autocast('cpu', torch.bfloat16, dtype != torch.float32):
                y = model(x)
            optimizer.zero_grad()
            (y.float() * x.sin()).mean().backward()
            optimizer.step()
        return model.state_dict()
    finally:
        torch.set_num_threads(before)


def largest_difference(one, other):
    """Of two states, against the largest value of each tensor."""
    return max(
        ((one[name] - other[name]).abs().max() / one[name].abs().max()).item()
        for name in one
        if one[name].is_floating_point()
    )


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('backend', ['native', 'torch'])
def test_same_threads_give_the_same_bits(backend, dtype, monkeypatch, held):
    monkeypatch.setenv(VARIABLE, backend)
    for name, threads in itertools.product(NORMS, THREADS):
        one, other = (trained(name, threads, dtype) for _ in range(2))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    held(
        'two trainings of {steps} steps, {dtype}, backend {backend}, on '
        '{threads} threads, with {norms}: bit-equal',
        steps=STEPS,
        dtype=str(dtype).removeprefix('torch.'),
        backend=backend,
        threads=', '.join(map(str, THREADS)),
        norms='; '.join(NORMS),
    )


@pytest.mark.parametrize('backend', ['native', 'torch'])
def test_other_threads_differ_by_rounding(backend, monkeypatch, held):
    monkeypatch.setenv(VARIABLE, backend)
    largest = 0.0
    for name in NORMS:
        one = trained(name, 1)
        for threads in THREADS[1:]:
            off = largest_difference(one, trained(name, threads))
            assert off < BOUND, (name, threads)
            largest = max(largest, off)
    held(
        '{steps} steps on {threads} threads against one, backend {backend}: '
        'weights and statistics are {off} of the largest off at most',
        steps=STEPS,
        threads=', '.join(map(str, THREADS[1:])),
        backend=backend,
        off=f'{largest:.1e}',
    )
