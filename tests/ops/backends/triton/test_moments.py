"""Moments: right for any shape and layout, exact over chunks."""

import pytest
import torch

from whiten_plugins.ops.backends.torch import activations as blocks
from whiten_plugins.ops.backends.triton.kernels.moments import moments

from .inputs import LAYOUTS, SHAPES, assert_near, rows_of


def check(x, tolerance=1e-5):
    actual, expected = moments(x), blocks.moments(x.double())
    assert_near(actual.mean, expected.mean, tolerance)
    assert_near(actual.cov, expected.cov, tolerance)
    assert actual.mean.dtype == actual.cov.dtype == torch.float32
    assert actual.cov.is_contiguous()


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_moments(shape, device):
    check(rows_of(shape, device=device))


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('rows', [1, 3])
def test_any_strides(rows, layout, device):
    check(layout(rows_of((2, 4, rows, 21), device=device)))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('rows', [1, 3])
def test_half_precision_is_widened(rows, dtype, device):
    check(rows_of((2, 2, rows, 33), device=device, dtype=dtype))


@pytest.mark.parametrize(
    'shape', [(1, 2, 1, 300), (2, 1, 3, 300), (1, 1, 20, 530)], ids=str
)
def test_chunks_merge_exactly(shape, device, many_chunks):
    check(rows_of(shape, device=device))


@pytest.mark.parametrize('rows', [1, 3])
def test_mean_of_a_thousand_deviations(rows, device, many_chunks):
    """Float32 squares would keep no digit of the covariance."""
    x = rows_of((1, 2, rows, 300), device=device)
    x = x - x.mean(-1, keepdim=True) + 1000
    check(x, tolerance=1e-3)


@pytest.mark.parametrize('rows', [1, 3])
def test_a_drift_over_the_chunks(rows, device, many_chunks):
    """The means of the chunks differ by far more than what they hold."""
    x = rows_of((1, 2, rows, 300), device=device)
    check(x + torch.arange(300, device=device) * 10.0)


@pytest.mark.parametrize('rows', [1, 3])
def test_repeats_to_the_bit(rows, device, many_chunks):
    x = rows_of((2, 1, rows, 300), device=device)
    for first, second in zip(moments(x), moments(x)):
        assert torch.equal(first, second)


@pytest.mark.parametrize('rows', [1, 3])
def test_nan_stays_in_its_group(rows, device):
    x = rows_of((2, 2, rows, 33), device=device)
    x[0, 1, 0, 5] = float('nan')
    mean, cov = moments(x)
    assert mean[0, 1].isnan().any() and cov[0, 1].isnan().any()
    mean[0, 1], cov[0, 1] = 0, 0
    assert mean.isfinite().all() and cov.isfinite().all()


@pytest.mark.parametrize('rows', [1, 3])
def test_constant_rows_have_no_variance(rows, device, many_chunks):
    x = torch.full((1, 2, rows, 100), 3.7, device=device)
    mean, cov = moments(x)
    assert_near(mean, torch.full_like(mean, 3.7).double(), 1e-6)
    assert cov.abs().max() < 1e-9
