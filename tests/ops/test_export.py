"""The traceable text of the norms equals the core."""

import pytest
import torch
from mmengine.utils import digit_version

from tests.norms.cases import (
    CASES,
    KINDS,
    SHAPES,
    assert_close,
    random_input,
)
from whiten_plugins.norms import IW, SN
from whiten_plugins.ops import Parameters, export


def evaluated(norm, x):
    """A norm in evaluation by the traceable text."""
    parameters = Parameters(norm.weight, norm.bias, *norm._logits(x))
    return export.traceable_norm(x, parameters, norm.spec, norm._running())


@pytest.mark.parametrize('case', CASES, ids=str)
def test_output_and_gradients_are_those_of_the_core(case):
    norm, _ = case.pair()
    norm(random_input(SHAPES['NCHW'], seed=1))
    norm.eval()
    leaves = [random_input(SHAPES['NCHW']).requires_grad_()]
    leaves += norm.parameters()
    results = []
    for function in (norm, lambda x: evaluated(norm, x)):
        y = function(leaves[0])
        weights = torch.linspace(0, 1, y.numel(), dtype=y.dtype).view_as(y)
        grads = torch.autograd.grad(
            (y * weights).sum(), leaves, allow_unused=True
        )
        results.append((y, grads))
    (expected, expected_grads), (actual, grads) = results
    assert_close(actual, expected, 1e-9)
    scale = expected_grads[0].norm().item()
    for grad, expected_grad in zip(grads, expected_grads):
        grad = torch.zeros_like(expected_grad) if grad is None else grad
        assert_close(grad, expected_grad, 1e-8, scale)


@pytest.mark.parametrize('shape', SHAPES.values(), ids=SHAPES)
def test_any_number_of_trailing_dimensions(shape):
    norm = SN(shape[1]).double().eval()
    x = random_input(shape)
    assert_close(evaluated(norm, x), norm(x), 1e-12)


def test_statistics_of_one_pixel_are_left_out():
    norm = SN(8).double().eval()
    torch.nn.init.normal_(norm.running_mean)
    x = random_input((2, 8, 1, 1))
    assert_close(evaluated(norm, x), norm(x), 1e-12)
    with pytest.raises(ValueError, match='iw statistics need more than 1'):
        evaluated(IW(8).double(), x)


def test_half_input_is_computed_in_float32():
    norm = SN(8).eval()
    x = random_input((2, 8, 5, 5)).half()
    y = evaluated(norm, x)
    assert y.dtype == torch.half
    torch.testing.assert_close(y, norm(x.float()).half(), rtol=0, atol=2e-3)


@pytest.mark.parametrize('condition', [1e1, 1e4, 1e7])
def test_inverse_square_root_converges(condition):
    """As precise as float64 allows, up to the condition numbers that the
    number of iterations is chosen for."""
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(5, 16, 16, generator=generator).double()
    D, _ = torch.linalg.qr(random)
    exponents = torch.linspace(0, -1, 16, dtype=torch.float64)
    values = 100 * condition**exponents
    W = export.inverse_sqrt((D * values) @ D.mT)
    expected = (D * values.rsqrt()) @ D.mT
    assert_close(W, expected, 1e-6)


# ------------------------------------------------------ autocast and tracing
class Network(torch.nn.Module):
    """A convolution, which autocast turns into half precision, and a norm."""

    def __init__(self, norm):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, norm.num_features, 3)
        self.norm = norm

    def forward(self, x):
        return self.norm(self.conv(x))


def autocast(dtype):
    return torch.autocast('cpu', dtype, cache_enabled=False)


def traced(network, x):
    return torch.jit.trace(network, x)


def exported(network, x):
    return torch.export.export(network, (x,)).module()


RECORDED = [traced]
if hasattr(torch.compiler, 'is_exporting'):
    RECORDED.append(exported)


# torch 2.1 and 2.2 have no float16 autocast on a CPU.
DTYPES = [torch.bfloat16]
if digit_version(torch.__version__) >= digit_version('2.3'):
    DTYPES.append(torch.float16)


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('record', RECORDED)
@pytest.mark.parametrize('case', KINDS, ids=str)
def test_recorded_network_under_autocast(case, record, dtype):
    """Recorded within autocast or outside, it gives what it gave itself."""
    torch.manual_seed(0)
    network = Network(case.norm()).eval()
    torch.nn.init.normal_(network.conv.weight, std=3)
    x = torch.randn(2, 3, 9, 10)
    network.train()(x), network.eval()
    with torch.no_grad(), autocast(dtype):
        expected = network(x)
        within = record(network, x)(x)
    with torch.no_grad():
        outside = record(network, x)
        with autocast(dtype):
            after = outside(x)
    assert within.dtype == expected.dtype == dtype
    # A value may be rounded to the other side.
    tolerance = 2 * torch.finfo(dtype).eps
    for actual in (within, after):
        torch.testing.assert_close(
            actual.float(), expected.float(), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize('case', KINDS, ids=str)
def test_wide_scales_in_the_traceable_text(case):
    norm = case.norm().eval()
    scale = torch.logspace(-1, 3, 8, dtype=torch.float64).view(1, 8, 1, 1)
    x = random_input((4, 8, 9, 10)) * scale
    norm.double().train()(x), norm.eval()
    assert_close(evaluated(norm.float(), x.float()), norm.double()(x), 1e-4)
