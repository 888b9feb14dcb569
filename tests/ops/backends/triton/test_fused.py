"""Forward and backward in few launches: what the steps give, one by one."""

from typing import NamedTuple

import pytest
import torch

from tests.norms.cases import random_input
from tests.ops.backends.inputs import assert_near
from whiten_plugins.ops import NormSpec, Parameters, Running
from whiten_plugins.ops.backends.torch import BACKEND as PYTORCH
from whiten_plugins.ops.backends.triton import fused
from whiten_plugins.ops.layout import affine_view
from whiten_plugins.ops.stage import Stage, StageInputs

SN = ('in', 'ln', 'bn')
SW3 = ('bw', 'iw', 'ln')
SW5 = ('bw', 'iw', 'bn', 'in', 'ln')
SPECS = {
    'SN': NormSpec(SN, 1),
    'SN hard': NormSpec(SN, 1, hard=True),
    'BN': NormSpec(('bn',), 1),
    'SW 2': NormSpec(('bw', 'iw'), 3),
    'SW 3': NormSpec(SW3, 3),
    'SW 5': NormSpec(SW5, 3),
    'ItN': NormSpec(('bw',), 3, running='matrix'),
    'GW': NormSpec(('iw',), 3, across_groups=True),
    'BW across': NormSpec(('bw',), 3, across_groups=True),
    'IW': NormSpec(('iw',), 3),
}
SHAPE = (2, 6, 3, 7)


class Plan(NamedTuple):
    stage: Stage
    batch_training: bool

    @property
    def spec(self):
        return self.stage.spec


def parameters_of(spec, channels, device, ratio_groups=0):
    logits = (len(spec.stats),)
    if ratio_groups:
        logits = (ratio_groups, *logits)
    sizes = [(channels,), (channels,), logits, logits]
    if len(spec.stats) == 1:
        sizes[2:] = None, None
    return Parameters(
        *(
            size if size is None else random_input((1, *size), seed)[0]
            for seed, size in enumerate(sizes)
        )
    )


def running_of(spec, channels, device):
    groups = 1 if spec.across_groups else channels // spec.num_rows
    cov = torch.eye(spec.num_rows).repeat(groups, 1, 1)
    if spec.num_rows == 1:
        cov = cov.flatten()
    mean = torch.zeros(groups * spec.num_rows)
    return Running(mean.to(device), cov.to(device), torch.tensor(5).to(device))


def moved(values, device, dtype):
    moved = [None if v is None else v.to(device, dtype) for v in values]
    return type(values)(*moved)


def expected(x, grad, spec, stage, parameters, running, training, momentum):
    """As the fused norm, by PyTorch's steps in float64."""
    parameters = moved(parameters, 'cpu', torch.float64)
    running = moved(running, 'cpu', torch.float64)
    x, grad = x.cpu().double(), grad.cpu().double()
    state = x.new_empty(sum(stage.sizes_of_moments(training)))
    sample, batch = stage.split_moments(state, training)
    fused._take_moments(x, spec, sample, batch, None)
    inputs = StageInputs(sample, batch, parameters)
    if not training and spec.uses_batch:
        moments = running.moments(spec.num_rows, torch.float64)
        inputs = inputs._replace(batch=moments)
    A, b, W = PYTORCH.transform(stage, inputs)
    if training:
        kept = W if spec.running == 'matrix' else batch.cov
        batch = batch._replace(cov=kept)
        PYTORCH.update_running(running, batch, momentum)
    y, dx = torch.empty_like(x), torch.empty_like(x)
    rows = [affine_view(v, spec) for v in (x, grad, y, dx)]
    PYTORCH.affine(rows[0], A, b, rows[2])
    A, B, d, gradients = fused._coefficient_gradients(
        stage, inputs, rows[1], rows[0], training
    )
    PYTORCH.input_gradient(rows[1], rows[0], A, B, d, rows[3])
    return y, dx, gradients, running


def check(
    device,
    spec,
    shape=SHAPE,
    training=True,
    memory_format=None,
    ratio_groups=0,
    momentum=0.1,
    steps=fused.KERNELS,
):
    channels = shape[1]
    x, grad = (random_input(shape, seed).float() for seed in range(2))
    memory_format = memory_format or torch.contiguous_format
    x, grad = (
        v.to(device).contiguous(memory_format=memory_format) for v in (x, grad)
    )
    parameters = parameters_of(spec, channels, device, ratio_groups)
    running = running_of(spec, channels, device)
    training = training and spec.uses_batch
    stage = Stage.of(spec, spec.stats, len(x), channels, parameters)
    wanted = expected(
        x, grad, spec, stage, parameters, running, training, momentum
    )
    norm = fused.fuse(steps, Plan(stage, training), x.shape)
    parameters = moved(parameters, device, torch.float32)
    y, state = norm.forward(x, parameters, running, momentum)
    dx, gradients = norm.backward(grad, x, parameters, running, state, True)
    assert y.stride() == dx.stride() == x.stride()
    assert_near(y, wanted[0])
    assert_near(dx, wanted[1], 1e-4)
    for actual, value in zip(gradients, wanted[2]):
        assert (actual is None) == (value is None)
        if value is not None:
            scale = 1e-4 * max(1, wanted[1].norm() / value.abs().max())
            assert_near(actual, value, scale)
    if spec.uses_batch:
        assert running.num_batches == wanted[3].num_batches
        for actual, value in zip(running[:2], wanted[3]):
            assert_near(actual, value)
    return norm


@pytest.fixture
def device():
    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


@pytest.mark.parametrize('spec', SPECS.values(), ids=SPECS)
def test_training(spec, device, many_chunks):
    check(device, spec)


@pytest.mark.parametrize('name', ['SN', 'SW 5', 'GW', 'ItN'])
def test_channels_last(name, device, many_chunks):
    check(device, SPECS[name], memory_format=torch.channels_last)


@pytest.mark.parametrize('name', ['SN', 'SW 5', 'GW'])
def test_one_chunk(name, device):
    check(device, SPECS[name], (2, 6, 3, 4))


@pytest.mark.parametrize('name', ['SN', 'SW 5', 'BN'])
def test_evaluation(name, device):
    check(device, SPECS[name], training=False)


@pytest.mark.parametrize('ratio_groups', [1, 3])
def test_ratio_groups(device, ratio_groups):
    check(device, SPECS['SN'], ratio_groups=ratio_groups)


def test_more_channels_than_a_program_takes(device):
    check(device, SPECS['SN'], (2, 300, 3, 2))


@pytest.mark.parametrize('momentum', [0, 1, None])
@pytest.mark.parametrize('name', ['SW 2', 'ItN'])
def test_momentum(name, device, momentum):
    check(device, SPECS[name], momentum=momentum)


@pytest.mark.parametrize('name', ['SN', 'SW 5', 'GW', 'ItN'])
def test_pytorchs_steps_are_the_same(name, device):
    """They take over where a kernel fails."""
    check(device, SPECS[name], steps=fused.IN_PYTORCH)


@pytest.mark.parametrize('name', ['SN', 'SW 2', 'ItN'])
def test_nan_in_one_group_stays_out_of_its_running_statistics(name, device):
    spec = SPECS[name]
    x = random_input(SHAPE).float().to(device)
    x[0, 3] = torch.nan
    parameters = moved(
        parameters_of(spec, SHAPE[1], device), device, torch.float32
    )
    stage = Stage.of(spec, spec.stats, *SHAPE[:2], parameters)
    running = running_of(spec, SHAPE[1], device)
    before = [v.clone() for v in running]
    norm = fused.fuse(fused.KERNELS, Plan(stage, True), x.shape)
    versions = [v._version for v in running]
    for number in range(1, 3):
        norm.forward(x, parameters, running, 0.5)
        assert running.num_batches == before[2] + number
    assert all(v._version > old for v, old in zip(running, versions))
    groups = SHAPE[1] // spec.num_rows
    bad = 3 // spec.num_rows
    for buffer, old in zip(running[:2], before):
        changed = (buffer != old).view(groups, -1).any(1)
        assert buffer.isfinite().all()
        assert changed.tolist() == [group != bad for group in range(groups)]
    norm.forward(torch.full_like(x, torch.nan), parameters, running, 0.5)
    assert running.num_batches == before[2] + 2


@pytest.mark.parametrize('name', ['SW 2', 'ItN'])
def test_what_is_tracked_is_handed_out(name, device):
    """As torch.compile needs it, which updates the buffers itself."""
    spec = SPECS[name]
    x = random_input(SHAPE).half().to(device)
    parameters = moved(
        parameters_of(spec, SHAPE[1], device), device, torch.float32
    )
    stage = Stage.of(spec, spec.stats, *SHAPE[:2], parameters)
    norm = fused.fuse(fused.KERNELS, Plan(stage, True), x.shape)
    kept = torch.empty(1, 2, 3, 3, device=device)
    _, state = norm.forward(x, parameters, None, None, kept)
    running = running_of(spec, SHAPE[1], device)
    norm.forward(x, parameters, running, 1.0)
    assert torch.equal(kept[0], running.cov)
    _, batch = stage.split_moments(state, True)
    assert torch.equal(batch.mean[0].flatten(), running.mean)


def test_what_the_kernels_do_not_take_is_left_to_the_steps():
    spec = NormSpec(('bw',), 3, whitening='zca')
    parameters = parameters_of(spec, SHAPE[1], 'cpu')
    stage = Stage.of(spec, spec.stats, *SHAPE[:2], parameters)
    shape = torch.Size(SHAPE)
    assert fused.fuse(fused.KERNELS, Plan(stage, True), shape) is None
    spec = SPECS['ItN']  # evaluation has the matrix already
    stage = Stage.of(spec, spec.stats, *SHAPE[:2], parameters)
    assert fused.fuse(fused.KERNELS, Plan(stage, False), shape) is None
