"""The small matrices: coefficients and gradients as the PyTorch path's."""

import pytest
import torch

from whiten_plugins.ops import Moments, NormSpec, Parameters
from whiten_plugins.ops.backends.torch import transform as pytorch
from whiten_plugins.ops.backends.triton.transform import (
    supported,
    transform,
    transform_backward,
)

from .inputs import assert_near

SN = ('in', 'ln', 'bn')
SW2 = ('bw', 'iw')
SW3 = ('bw', 'iw', 'ln')
SW5 = ('bw', 'iw', 'bn', 'in', 'ln')


class Case:
    """Random inputs of one small-matrix stage, in float64.

    Args:
        spec: the norm.
        samples, groups, slots: N, G, and channels of a row (GW).
        active: the statistics that are defined, all by default.
        ratio_groups: rows of the logits; 0 for a vector.
        affine: with weight and bias.
    """

    def __init__(
        self,
        spec,
        samples=2,
        groups=2,
        slots=1,
        active=None,
        ratio_groups=0,
        affine=True,
        seed=0,
    ):
        generator = torch.Generator().manual_seed(seed)

        def randn(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        def moments(count):
            factor = randn(count, groups, rows, 2 * rows)
            cov = factor @ factor.mT / (2 * rows)
            return Moments(randn(count, groups, rows), cov)

        rows = spec.num_rows
        channels, entries = groups * rows * slots, groups * slots
        sample = moments(samples) if spec.uses_samples else None
        batch = moments(1) if spec.uses_batch else None
        logits = (ratio_groups, len(spec.stats))
        logits = logits if ratio_groups else logits[1:]
        parameters = Parameters(
            randn(channels) if affine else None,
            randn(channels) if affine else None,
            randn(*logits) if len(spec.stats) > 1 else None,
            randn(*logits) if len(spec.stats) > 1 else None,
        )
        self.tensors = sample, batch, parameters
        self.settings = spec, active or spec.stats
        self.gradients = (
            randn(samples, entries, rows, rows),
            randn(samples, entries, rows),
        )

    def arguments(self, dtype, device):
        def moved(tensors):
            if tensors is None:
                return None
            values = [v if v is None else v.to(device, dtype) for v in tensors]
            return type(tensors)(*values)

        gradients = [v.to(device, dtype) for v in self.gradients]
        return gradients, (*map(moved, self.tensors), *self.settings)


CASES = {
    'SN': Case(NormSpec(SN, 1), groups=5),
    'SN more channels than a program takes': Case(
        NormSpec(SN, 1), samples=1, groups=300
    ),
    'SN hard': Case(NormSpec(SN, 1, hard=True), groups=6, ratio_groups=2),
    'SN ratio groups': Case(NormSpec(SN, 1), groups=6, ratio_groups=3),
    'SN without in': Case(NormSpec(SN, 1), groups=5, active=('ln', 'bn')),
    'SN of in': Case(NormSpec(('in',), 1), groups=5, affine=False),
    'BN of five samples': Case(NormSpec(('bn',), 1), samples=5, groups=5),
    'SW one row': Case(NormSpec(SW5, 1), groups=5),
    'SW 2': Case(NormSpec(SW2, 16)),
    'SW 2 without affine': Case(NormSpec(SW2, 3), groups=1, affine=False),
    'SW 2 without iw': Case(NormSpec(SW2, 3), groups=1, active=('bw',)),
    'SW 3': Case(NormSpec(SW3, 5)),
    'SW 3 hard': Case(NormSpec(SW3, 5, hard=True), groups=1, seed=4),
    'SW 5': Case(NormSpec(SW5, 3, T=3)),
    'SW 5 without iw, in': Case(NormSpec(SW5, 3), active=('bw', 'bn', 'ln')),
    'IW one iteration': Case(NormSpec(('iw',), 3, T=1)),
    'IW affine in slots': Case(
        NormSpec(('iw',), 4, across_groups=True), groups=1, slots=3
    ),
    'GW without affine': Case(
        NormSpec(('iw',), 4, across_groups=True),
        groups=1,
        slots=3,
        affine=False,
    ),
    'GW of many rows': Case(
        NormSpec(('iw',), 40, across_groups=True, T=2),
        samples=1,
        groups=1,
        slots=2,
    ),
    'BW of five samples': Case(NormSpec(('bw',), 3), samples=5),
}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_coefficients(case, device):
    _, arguments = case.arguments(torch.float32, device)
    assert runs_in_kernels(case)
    actual = transform(*arguments)
    expected = pytorch.transform(*case.arguments(torch.float64, device)[1])
    for one, other in zip(actual, expected):
        assert_near(one, other.expand_as(one))


def runs_in_kernels(case):
    spec, _ = case.settings
    entries = case.gradients[0].shape[1]
    sample, batch, _ = case.tensors
    groups = (sample or batch).mean.shape[1]
    return supported(spec, spec.num_rows, entries // groups)


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_gradients(case, device):
    gradients, arguments = case.arguments(torch.float32, device)
    A, actual = transform_backward(*gradients, *arguments)
    gradients, arguments = case.arguments(torch.float64, device)
    expected_A, expected = pytorch.transform_backward(*gradients, *arguments)
    assert_near(A, expected_A.expand_as(A))
    for one, other in zip(actual, expected):
        assert (one is None) == (other is None)
        for name in other._fields if other else ():
            check_gradient(name, getattr(one, name), getattr(other, name))


def check_gradient(name, actual, expected):
    if expected is None:
        assert actual is None
        return
    assert actual.shape == expected.shape
    if name == 'cov':  # only its symmetric part reaches anything
        actual, expected = actual + actual.mT, expected + expected.mT
    assert_near(actual, expected, 1e-4)


def test_parameters_in_half_precision(device):
    """As after model.half(): read as float32, gradients in their dtype."""
    gradients, arguments = CASES['SW 2'].arguments(torch.float32, device)
    parameters = Parameters(*(v.half() for v in arguments[2]))
    arguments = (*arguments[:2], parameters, *arguments[3:])
    _, expected = pytorch.transform_backward(*gradients, *arguments)
    _, actual = transform_backward(*gradients, *arguments)
    for one, other in zip(actual.parameters, expected.parameters):
        assert_near(one, other.double(), 2e-3)


@pytest.mark.parametrize('rows', [1, 3])
def test_nan_of_a_statistic_that_was_not_chosen(rows, device):
    case = Case(NormSpec(SW3, rows, hard=True))
    sample, _, parameters = case.tensors
    for v in sample:
        v.fill_(float('nan'))
    for logits in parameters[2:]:
        logits.copy_(torch.tensor([2.0, 1.0, 0.0]))  # bw
    gradients, arguments = case.arguments(torch.float32, device)
    A, found = transform_backward(*gradients, *arguments)
    results = [*transform(*arguments), A]
    for part in found:
        results += part
    assert all(v.isfinite().all() for v in results)


UNSUPPORTED = {
    'zca': Case(NormSpec(('bw',), 3, whitening='zca')),
    'pca': Case(NormSpec(('bw',), 3, whitening='pca')),
    'wide': Case(NormSpec(('iw',), 65), groups=1),
    'many slots': Case(
        NormSpec(('iw',), 2, across_groups=True), groups=1, slots=65
    ),
    'layer norm as GW': Case(
        NormSpec(('iw',), 1, across_groups=True), groups=1, slots=3
    ),
}


@pytest.mark.parametrize('case', UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_what_is_left_to_pytorch(case, device):
    assert not runs_in_kernels(case)
    gradients, arguments = case.arguments(torch.float32, device)
    for actual, expected in zip(
        transform(*arguments), pytorch.transform(*arguments)
    ):
        assert torch.equal(actual, expected)
    A, found = transform_backward(*gradients, *arguments)
    expected_A, expected = pytorch.transform_backward(*gradients, *arguments)
    assert torch.equal(A, expected_A)
    assert torch.equal(found.parameters.weight, expected.parameters.weight)


def test_running_matrix_is_left_to_pytorch(device):
    _, arguments = CASES['BW of five samples'].arguments(torch.float32, device)
    assert not supported(arguments[3], 3, 1, whitened=True)
    actual = transform(*arguments, whitened=True)
    assert torch.equal(actual.W, arguments[1].cov)
