"""From moments to the affine map and back, in every backend.

Expected is what the PyTorch operators give in float64, which
``tests/norms`` compares with the papers' equations.
"""

import pytest
import torch

from whiten_plugins.ops import (
    SAMPLE_STATS,
    Moments,
    NormSpec,
    Parameters,
)
from whiten_plugins.ops.backends import torch as pytorch
from whiten_plugins.ops.stage import Stage, StageInputs

from .inputs import assert_near

REFERENCE = pytorch.BACKEND
SN = ('in', 'ln', 'bn')
SW2 = ('bw', 'iw')
SW3 = ('bw', 'iw', 'ln')
SW5 = ('bw', 'iw', 'bn', 'in', 'ln')


class StageCase:
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
        channels = groups * rows * slots
        of_samples = set(active or spec.stats) & set(SAMPLE_STATS)
        sample = moments(samples) if of_samples else None
        batch = moments(1) if spec.uses_batch else None
        logits = (ratio_groups, len(spec.stats))
        logits = logits if ratio_groups else logits[1:]
        parameters = Parameters(
            randn(channels) if affine else None,
            randn(channels) if affine else None,
            randn(*logits) if len(spec.stats) > 1 else None,
            randn(*logits) if len(spec.stats) > 1 else None,
        )
        self.stage = Stage.of(
            spec, active or spec.stats, samples, channels, parameters
        )
        self.inputs = StageInputs(sample, batch, parameters)
        self.gradients = (
            randn(self.stage.samples, groups * slots, rows, rows),
            randn(self.stage.samples, groups * slots, rows),
        )

    def arguments(self, dtype, device='cpu'):
        """Inputs and gradients of A and b."""

        def moved(tensors):
            if tensors is None:
                return None
            values = [v if v is None else v.to(device, dtype) for v in tensors]
            return type(tensors)(*values)

        gradients = [v.to(device, dtype) for v in self.gradients]
        return StageInputs(*map(moved, self.inputs)), *gradients


CASES = {
    'SN': StageCase(NormSpec(SN, 1), groups=5),
    'SN more channels than a program takes': StageCase(
        NormSpec(SN, 1), samples=1, groups=300
    ),
    'SN hard': StageCase(NormSpec(SN, 1, hard=True), groups=6, ratio_groups=2),
    'SN ratio groups': StageCase(NormSpec(SN, 1), groups=6, ratio_groups=3),
    'SN without in': StageCase(NormSpec(SN, 1), groups=5, active=('ln', 'bn')),
    'SN of in': StageCase(NormSpec(('in',), 1), groups=5, affine=False),
    'BN of five samples': StageCase(NormSpec(('bn',), 1), samples=5, groups=5),
    'SW one row': StageCase(NormSpec(SW5, 1), groups=5),
    'SW 2': StageCase(NormSpec(SW2, 16)),
    'SW 2 without affine': StageCase(NormSpec(SW2, 3), groups=1, affine=False),
    'SW 2 without iw': StageCase(NormSpec(SW2, 3), groups=1, active=('bw',)),
    'SW 3': StageCase(NormSpec(SW3, 5)),
    'SW 3 hard': StageCase(NormSpec(SW3, 5, hard=True), groups=1, seed=4),
    'SW 5': StageCase(NormSpec(SW5, 3, T=3)),
    'SW 5 without iw, in': StageCase(
        NormSpec(SW5, 3), active=('bw', 'bn', 'ln')
    ),
    'IW one iteration': StageCase(NormSpec(('iw',), 3, T=1)),
    'IW affine in slots': StageCase(
        NormSpec(('iw',), 4, across_groups=True), groups=1, slots=3
    ),
    'GW without affine': StageCase(
        NormSpec(('iw',), 4, across_groups=True),
        groups=1,
        slots=3,
        affine=False,
    ),
    'GW of many rows': StageCase(
        NormSpec(('iw',), 40, across_groups=True, T=2),
        samples=1,
        groups=1,
        slots=2,
    ),
    'BW of five samples': StageCase(NormSpec(('bw',), 3), samples=5),
    'SN hard, tied to one group': StageCase(
        NormSpec(SN, 1, hard=True), samples=3, groups=32, seed=2
    ),
    'SN of four ratio groups': StageCase(
        NormSpec(SN, 1), samples=3, groups=32, ratio_groups=4
    ),
    'SW 3 of 16 rows': StageCase(NormSpec(SW3, 16), samples=3),
    'SW 5 hard of 32 rows': StageCase(
        NormSpec(SW5, 32, hard=True), samples=3, groups=1
    ),
    'GW of 32 rows': StageCase(
        NormSpec(('iw',), 32, across_groups=True), samples=3, groups=1
    ),
    'ItN one iteration': StageCase(NormSpec(('bw',), 8, T=1), samples=3),
    'ItN seven iterations': StageCase(NormSpec(('bw',), 8, T=7), samples=3),
    'BW zca': StageCase(NormSpec(('bw',), 8, whitening='zca'), samples=3),
    'BW pca': StageCase(NormSpec(('bw',), 3, whitening='pca'), samples=3),
    'SW 5 zca': StageCase(NormSpec(SW5, 4, whitening='zca')),
    'IW of 65 rows': StageCase(NormSpec(('iw',), 65), groups=1),
    'GW of many slots': StageCase(
        NormSpec(('iw',), 2, across_groups=True), groups=1, slots=65
    ),
    'GW of one row': StageCase(
        NormSpec(('iw',), 1, across_groups=True), groups=1, slots=3
    ),
}


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_coefficients(backend, device, case):
    inputs, _, _ = case.arguments(torch.float32, device)
    actual = backend.transform(case.stage, inputs)
    inputs, _, _ = case.arguments(torch.float64)
    expected = REFERENCE.transform(case.stage, inputs)
    for value, wanted in zip(actual, expected):
        assert_near(value, wanted.expand_as(value))


@pytest.mark.parametrize('case', CASES.values(), ids=CASES)
def test_gradients(backend, device, case):
    A, actual = backend.transform_backward(
        case.stage, *case.arguments(torch.float32, device)
    )
    expected_A, expected = REFERENCE.transform_backward(
        case.stage, *case.arguments(torch.float64)
    )
    assert_near(A, expected_A.expand_as(A))
    for found, wanted in zip(actual, expected):
        assert (found is None) == (wanted is None)
        for name in wanted._fields if wanted else ():
            check_gradient(name, getattr(found, name), getattr(wanted, name))


def check_gradient(name, actual, expected):
    if expected is None:
        assert actual is None
        return
    assert actual.shape == expected.shape
    if name == 'cov':  # only its symmetric part reaches anything
        actual, expected = actual + actual.mT, expected + expected.mT
    assert_near(actual, expected, 1e-4)


@pytest.mark.parametrize('rows', [3, 40])
@pytest.mark.parametrize('T', [1, 2, 9, 20])
def test_any_number_of_iterations(backend, device, T, rows):
    """ItN's own form of the iteration is off by 1e4 at T = 9."""
    case = StageCase(NormSpec(('iw',), rows, T=T), groups=1, samples=2)
    test_coefficients(backend, device, case)
    test_gradients(backend, device, case)


@pytest.mark.parametrize('T', [9, 20])
def test_many_iterations_on_equal_channels(backend, device, T):
    """All eigenvalues but one are eps: a null space grows by 1.5 a step."""
    spec = NormSpec(('iw',), 40, T=T, eps=2**-10)
    case = StageCase(spec, groups=1, samples=1)
    case.inputs.sample.cov[...] = 1
    inputs, *gradients = case.arguments(torch.float32, device)
    actual = backend.transform(case.stage, inputs)
    _, grads = backend.transform_backward(case.stage, inputs, *gradients)
    inputs, *gradients = case.arguments(torch.float64)
    expected = REFERENCE.transform(case.stage, inputs)
    _, wanted = REFERENCE.transform_backward(case.stage, inputs, *gradients)
    assert_near(actual.W, expected.W, 1e-2)
    for name in ('mean', 'cov'):
        check = getattr(grads.sample, name), getattr(wanted.sample, name)
        assert_near(*(v + v.mT if v.dim() == 4 else v for v in check), 1e-2)


def test_parameters_in_half_precision(backend, device):
    """As after model.half(): read as float32, gradients in their dtype."""
    case = CASES['SW 2']
    inputs, *gradients = case.arguments(torch.float32, device)
    half = Parameters(*(v.half() for v in inputs.parameters))
    wide = Parameters(*(v.double() for v in half))
    _, actual = backend.transform_backward(
        case.stage, inputs._replace(parameters=half), *gradients
    )
    inputs, *gradients = case.arguments(torch.float64, device)
    _, expected = REFERENCE.transform_backward(
        case.stage, inputs._replace(parameters=wide), *gradients
    )
    for found, wanted in zip(actual.parameters, expected.parameters):
        assert_near(found, wanted, 2e-3)


def test_parameters_with_gaps_between_their_elements(backend, device):
    case = CASES['SW 2']
    inputs, _, _ = case.arguments(torch.float32, device)
    gaps = (v.repeat_interleave(2)[::2] for v in inputs.parameters)
    expected = backend.transform(case.stage, inputs)
    inputs = inputs._replace(parameters=Parameters(*gaps))
    for value, wanted in zip(backend.transform(case.stage, inputs), expected):
        assert torch.equal(value, wanted)


@pytest.mark.parametrize('rows', [1, 3])
def test_nan_of_a_statistic_that_was_not_chosen(backend, device, rows):
    case = StageCase(NormSpec(SW3, rows, hard=True))
    inputs, *gradients = case.arguments(torch.float32, device)
    for v in inputs.sample:
        v.fill_(torch.nan)
    for logits in inputs.parameters[2:]:
        logits.copy_(torch.tensor([2.0, 1.0, 0.0]))  # bw
    A, found = backend.transform_backward(case.stage, inputs, *gradients)
    results = [*backend.transform(case.stage, inputs), A]
    for part in found:
        results += part
    assert all(v.isfinite().all() for v in results)
    assert not any(v.any() for v in found.sample)
