"""The traceable text of the norms equals the core."""

import pytest
import torch

from tests.norms.cases import CASES, SHAPES, assert_close, random_input
from whiten_plugins.norms import IW, SN
from whiten_plugins.ops import Parameters, export


def evaluated(norm, x):
    """A norm in evaluation by the traceable text."""
    logits = norm.mean_weight if norm.tie_weight else norm.var_weight
    parameters = Parameters(norm.weight, norm.bias, norm.mean_weight, logits)
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
