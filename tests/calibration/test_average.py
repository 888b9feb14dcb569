"""Batch average: the numbers, and that nothing else changes."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from tests.norms.cases import CASES, Case, assert_close, randomize
from tests.training import NormNetwork
from whiten_plugins.calibration import batch_average
from whiten_plugins.norms import BW, GW, SN, SW, ItN

TOLERANCE = 1e-5
WITH_BATCH = [
    case
    for case in CASES
    if hasattr(case.norm(), 'running_mean')
    # The axes of pca change places with rounding errors.
    and case.whitening != 'pca'
]


def images(*sizes, seed=0):
    """A batch of each size, with means and scales of their own."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(size, 3, 6, 7, generator=generator) * (1 + 0.5 * number)
        + number
        for number, size in enumerate(sizes)
    ]


def network(first, second):
    """Two convolutions, each with a norm."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), first, nn.ReLU(), nn.Conv2d(8, 8, 3), second
    )
    randomize(model, seed=3)
    return model


def with_batch_norm(build):
    return network(build(8), build(8))


def copy_weights(source, target):
    target.load_state_dict(source.state_dict(), strict=False)
    return target


def assert_same_statistics(model, expected):
    compared = 0
    for name, value in expected.named_buffers():
        if 'running_' in name:
            assert_close(model.get_buffer(name), value, TOLERANCE)
            compared += 1
    assert compared == 4


@pytest.mark.parametrize('case', WITH_BATCH, ids=str)
def test_equals_one_pass_over_the_same_images(case):
    """In float64, by the reference, whose cumulative average is exact for
    batches of one size. All layers normalize as in training."""
    model = network(case.norm(), case.norm())
    expected = network(case.reference(), case.reference())
    copy_weights(model, expected.double())
    for norm in (expected[1], expected[4]):
        norm.momentum = None
    batches = images(3, 3, 3, 3)
    with torch.no_grad():
        for batch in batches:
            expected(batch.double())
    result = batch_average(model, batches)
    assert result.averaged == ['1', '4']
    assert result.kept == []
    assert_same_statistics(model, expected)


@pytest.mark.parametrize(
    'build', [nn.BatchNorm2d, nn.SyncBatchNorm, 'mmcv BN', 'mmcv SyncBN']
)
def test_batch_norm_equals_its_cumulative_average(build):
    """torch's own, in float64; it averages unbiased variances."""
    if isinstance(build, str):
        cnn = pytest.importorskip('mmcv.cnn')
        cfg = dict(type=build.removeprefix('mmcv '))

        def build(channels):
            return cnn.build_norm_layer(cfg, channels)[1]

    model = with_batch_norm(build)
    expected = with_batch_norm(lambda c: nn.BatchNorm2d(c, momentum=None))
    copy_weights(model, expected.double())
    batches = images(3, 3, 3, 3)
    with torch.no_grad():
        for batch in batches:
            expected(batch.double())
    batch_average(model, batches)
    assert_same_statistics(model, expected)


def test_batches_count_by_their_elements():
    model = network(SN(8), SN(8))
    batches = [*images(4, 3), *(x[..., :5] for x in images(2, 1, seed=1))]
    batch_average(model, batches)
    inputs = [model[0](x).double().transpose(0, 1).flatten(1) for x in batches]
    elements = [x.shape[1] for x in inputs]
    variances = [x.var(1, unbiased=False) * x.shape[1] for x in inputs]
    mean = torch.cat(inputs, 1).mean(1)  # of all images
    variance = sum(variances) / sum(elements)  # within the batches
    assert_close(model[1].running_mean, mean, TOLERANCE)
    assert_close(model[1].running_var, variance, TOLERANCE)


def test_one_batch_of_all_images_gives_their_statistics():
    model = network(SW(8, num_pergroup=4), SN(8))
    whole = torch.cat(images(4, 4, 1))
    batch_average(model, [whole])
    x = model[0](whole).double().transpose(0, 1).flatten(1)
    x = x.view(2, 4, -1)
    centred = x - x.mean(-1, keepdim=True)
    cov = centred @ centred.mT / x.shape[-1]
    assert_close(model[1].running_mean, x.mean(-1).flatten(), TOLERANCE)
    assert_close(model[1].running_cov, cov, TOLERANCE)


def test_a_norm_that_is_used_twice_averages_over_both():
    norm = SN(3)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = norm

        def forward(self, x):
            return self.norm(x), self.norm(2 * x)

    (batch,) = images(4)
    batch_average(Twice(), [batch])
    variance = batch.double().var((0, 2, 3), unbiased=False)
    assert_close(norm.running_var, 2.5 * variance, TOLERANCE)


def everything(model):
    """All that is to stay, but for the running statistics."""
    tensors = {
        name: value.clone()
        for name, value in model.state_dict(keep_vars=True).items()
        if 'running_' not in name
    }
    modes = [module.training for module in model.modules()]
    momenta = [getattr(m, 'momentum', None) for m in model.modules()]
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks))
        for m in model.modules()
    ]
    random_numbers = (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_rng_state().tolist(),
    )
    return tensors, (modes, momenta, hooks, random_numbers)


class Counter(nn.Module):
    """Another buffer that training changes, and every random generator."""

    def __init__(self):
        super().__init__()
        self.register_buffer('calls', torch.zeros(1))

    def forward(self, x):
        self.calls = self.calls + 1
        random.random(), np.random.rand()
        return x + torch.rand(())


@pytest.mark.parametrize('fails', [False, True])
def test_nothing_else_changes(fails):
    model = network(SN(8, momentum=None), BW(8))
    model.append(Counter()).append(nn.Dropout()).append(nn.BatchNorm2d(8))
    model[-1].momentum = 0.3
    model.eval()
    model[4].train()
    running = {k: v for k, v in model.state_dict().items() if 'running' in k}
    before = {name: value.clone() for name, value in running.items()}
    tensors, rest = everything(model)

    def batches():
        yield from images(2, 3)
        if fails:
            raise ConnectionError

    if fails:
        with pytest.raises(ConnectionError):
            batch_average(model, batches())
    else:
        batch_average(model, batches())
    tensors_after, rest_after = everything(model)
    assert rest_after == rest
    assert tensors_after.keys() == tensors.keys()
    for name, value in tensors.items():
        assert torch.equal(tensors_after[name], value), name
        assert tensors_after[name].requires_grad == value.requires_grad
    for name, value in before.items():
        assert torch.equal(model.get_buffer(name), value) == fails, name


def test_the_seed_decides_what_is_random():
    def averaged(seed):
        torch.rand(3)
        model = network(SN(8), SN(8))
        model.insert(2, nn.Dropout())
        batch_average(model, images(3, 3), seed=seed)
        return model[5].running_mean

    assert torch.equal(averaged(1), averaged(1))
    assert not torch.equal(averaged(1), averaged(2))


def test_norms_in_evaluation_mode_during_training_stay():
    """As those of frozen stages and norm_eval: training uses their running
    statistics."""

    class NormEval(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[1].eval()

    model = NormEval(*network(nn.BatchNorm2d(8), SN(8)))
    before = model[1].running_mean.clone()
    assert batch_average(model, images(3)).averaged == ['4']
    assert torch.equal(model[1].running_mean, before)


def test_the_forward_pass_of_mmengine_models_is_that_of_the_loss():
    seen = []

    class Network(NormNetwork):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            seen.append((mode, self.training, torch.is_grad_enabled()))
            return super().forward(inputs, data_samples, mode)

    model = Network(SN(8))
    (batch,) = images(2)
    batch_average(model, [{'inputs': batch}])
    assert seen == [('loss', True, False)]


def test_batches_that_are_not_finite_are_left_out():
    batches = images(3, 3, 3)
    broken = batches[1].clone()
    broken[0, 0, 0, 0] = torch.inf
    for norms in ((SN(8), BW(8)), (nn.BatchNorm2d(8), ItN(8))):
        expected = network(*norms)
        batch_average(expected, [batches[0], batches[2]])
        state = {k: v.clone() for k, v in expected.state_dict().items()}
        batch_average(expected, [batches[0], broken, batches[2]])
        for name, value in expected.state_dict().items():
            assert torch.equal(value, state[name]), name


def test_what_no_batch_reaches_keeps_its_statistics():
    model = network(SN(8), nn.Identity())
    model[4].unused = nn.BatchNorm2d(8)
    model.append(nn.AdaptiveAvgPool2d(1)).append(SN(8, stats=('ln', 'bn')))
    result = batch_average(model, images(1, 1))  # a single element for bn
    assert result.averaged == ['1']
    assert result.kept == ['4.unused', '6']
    assert model[4].unused.running_mean.abs().sum() == 0
    assert torch.equal(model[6].running_var, torch.ones(8))


def test_a_network_without_batch_statistics_is_refused():
    with pytest.raises(ValueError, match='no norm that uses the statistics'):
        batch_average(network(GW(8, num_groups=2), nn.LayerNorm(5)), [])


@pytest.mark.parametrize('value', [None, torch.nan])
def test_nothing_to_average_over_is_an_error(value):
    model = network(SN(8), SN(8))
    batches = [] if value is None else [images(3)[0] * value]
    with pytest.raises(ValueError, match='none of the 2 norms of Sequential'):
        batch_average(model, batches)
    assert torch.equal(model[1].running_var, torch.ones(8))


def test_half_precision_network_is_averaged_in_float64():
    """In bfloat16 a sum of three hundred batches would not move any more."""
    norm = Case('SN').norm(3).bfloat16()
    batch = images(4)[0].bfloat16()
    batch_average(norm, [batch] * 300)
    mean = batch.double().mean((0, 2, 3))
    torch.testing.assert_close(
        norm.running_mean.double(), mean, rtol=0.01, atol=1e-3
    )
