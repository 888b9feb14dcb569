"""The model of a GPU reads what the compiler made, and counts rightly."""

import argparse

import pytest
import torch

from whiten_plugins.norms import SN, SW
from whiten_plugins.ops.backends.selection import triton_refusal

pytestmark = pytest.mark.skipif(
    triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
)


@pytest.fixture
def model():
    from benchmarks import gpu_model

    return gpu_model


@pytest.fixture
def kernels():
    from benchmarks import gpu_kernels

    return gpu_kernels


def test_launches_are_those_of_one_step(kernels):
    forward, backward = kernels.count_launches(SN(8), torch.zeros(2, 8, 3, 5))
    assert forward.triton['scalar_affine'] == 1
    assert forward.triton['scalar_moments'] == 1
    assert backward.triton['scalar_gradients'] == 1
    assert backward.triton['scalar_affine'] == 1


def test_torch_operators_count_and_views_do_not(kernels):
    class Plain(torch.nn.Module):
        def forward(self, x):
            return x.view(-1).exp().view_as(x)

    forward, _ = kernels.count_launches(Plain(), torch.zeros(2, 3))
    assert forward.total() == (0, 1)


def test_the_same_shape_compiles_once(kernels):
    norm = SN(8)
    counted = []
    with kernels.recording() as launches:
        for _ in range(2):
            norm(torch.zeros(2, 8, 3, 5)).sum()
            counted.append(kernels.distinct(launches).total())
    assert counted[0] == counted[1] > 0
    with kernels.recording() as launches:  # starts anew
        norm(torch.zeros(2, 8, 3, 5)).sum()
    assert kernels.distinct(launches).total() == counted[0]


def test_usage_is_read_from_the_machine_code(kernels):
    launches = kernels.compile_step(SW, torch.zeros(2, 16, 8, 8), 90)
    (moments,) = (v for v in launches if v.kernel == 'matrix_moments')
    found = kernels.usage(moments.compiled)
    assert 16 < found.registers <= 255 and found.shared > 0
    assert found.warps == moments.options['num_warps']
    assert found.mix['FFMA'] + found.mix['FFMA2'] > 0


@pytest.mark.slow
def test_a_pass_takes_no_less_than_its_bytes(kernels):
    from benchmarks import gpu_times

    shape = (2, 16, 64, 64)
    launches = kernels.compile_step(SW, torch.empty(shape), 90)
    found = gpu_times.modelled(launches, shape, 4)
    # Moments read once, affine moves 2, the backward's passes 2 and 3.
    assert found['passes'] > gpu_times.memory(8 * 2 * 16 * 64 * 64 * 4)
    assert found['small'] > 0


def test_random_shapes_repeat(model):
    shapes = model.random_shapes(20, 16)
    assert shapes == model.random_shapes(20, 16)
    assert len(set(shapes)) > 10 and {s[:2] for s in shapes} == {(2, 16)}


@pytest.mark.slow
def test_figures_are_shown(model):
    args = argparse.Namespace(
        capabilities=[90], repeats=3, parts=list(model.PARTS)
    )
    found = model.measure(args)
    text = model.show(found)
    for part in ('SN', 'GW', 'channels_last', 'sm', *found['assumptions']):
        assert part in text
