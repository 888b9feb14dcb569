"""The four passes over activations are their formulas, in every backend."""

import pytest
import torch

from .inputs import LAYOUTS, SHAPES, assert_near, matrices, rows_of

# Of the largest value: float32's rounding, and that of sums in one go.
TOLERANCES = {'torch': 2e-6, 'native': 2e-6, 'triton': 1e-5}
HALF = [torch.float16, torch.bfloat16]


def moments_of(x):
    x = x.double()
    centred = x - x.mean(-1, keepdim=True)
    return x.mean(-1), centred @ centred.mT / x.shape[-1]


def side_by_side(x):
    """All samples as one, (1, E, c, N M)."""
    return x.permute(1, 2, 0, 3).flatten(2).unsqueeze(0)


def check_moments(backend, x, tolerance=None):
    tolerance = tolerance or TOLERANCES[backend.name]
    for shared in (False, True):
        actual = backend.moments(x, shared)
        assert actual.mean.dtype == actual.cov.dtype == torch.float32
        assert actual.cov.is_contiguous()
        expected = moments_of(side_by_side(x) if shared else x)
        for value, wanted in zip(actual, expected):
            assert_near(value, wanted, tolerance)


def check_affine(backend, x, A, out, tolerance=None):
    b = A[..., 0]
    expected = A.double() @ x.double() + b.double().unsqueeze(-1)
    backend.affine(x, A, b, out)
    assert_near(out, expected, tolerance or TOLERANCES[backend.name])


def check_affine_gradients(backend, grad, x):
    expected = grad.double() @ x.double().mT, grad.double().sum(-1)
    for shared in (False, True):
        actual = backend.affine_gradients(grad, x, shared)
        for value, wanted in zip(actual, expected):
            wanted = wanted.sum(0, keepdim=True) if shared else wanted
            assert value.shape == wanted.shape
            assert_near(value, wanted, TOLERANCES[backend.name])


def check_input_gradient(backend, grad, x, A, B, out, tolerance=None):
    expected = A.double().mT @ grad.double()
    d = None
    if B is not None:
        d = B[..., 0]
        expected = expected + B.double() @ x.double()
        expected = expected + d.double().unsqueeze(-1)
    backend.input_gradient(grad, x, A, B, d, out)
    assert_near(out, expected, tolerance or TOLERANCES[backend.name])


# ------------------------------------------------------------ any shape
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_moments(backend, device, shape):
    check_moments(backend, rows_of(shape, device=device))


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_affine(backend, device, shape):
    x = rows_of(shape, device=device)
    check_affine(backend, x, matrices(x), torch.empty_like(x))


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_affine_gradients(backend, device, shape):
    grad, x = (rows_of(shape, seed, device) for seed in range(2))
    check_affine_gradients(backend, grad, x)


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_input_gradient(backend, device, shape):
    grad, x = (rows_of(shape, seed, device) for seed in range(2))
    A, B = matrices(x), matrices(x, seed=1)
    check_input_gradient(backend, grad, x, A, B, torch.empty_like(x))


@pytest.mark.parametrize('rows', [1, 3])
def test_input_gradient_without_statistics(backend, device, rows):
    grad, x = (rows_of((2, 2, rows, 33), seed, device) for seed in range(2))
    out = torch.empty_like(x)
    check_input_gradient(backend, grad, x, matrices(x), None, out)


@pytest.mark.parametrize(
    'shared', ['samples', 'entries', 'samples and entries']
)
@pytest.mark.parametrize(
    'shape',
    [(2, 3, 1, 33), (2, 3, 3, 33), (2, 3, 20, 33), (17, 2, 5, 1)],
    ids=str,
)
def test_shared_coefficients(backend, device, shape, shared):
    """Of the batch (no samples' own), of GW's slots (no entries' own)."""
    grad, x = (rows_of(shape, seed, device) for seed in range(2))
    A, B = matrices(x), matrices(x, shared, seed=1)
    check_affine(backend, x, B, torch.empty_like(x))
    check_input_gradient(backend, grad, x, A, B, torch.empty_like(x))
    check_input_gradient(backend, grad, x, B, A, torch.empty_like(x))


# ------------------------------------------------------------ any memory
@pytest.mark.parametrize('other', LAYOUTS)
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('rows', [1, 3])
def test_any_strides(backend, device, rows, layout, other):
    shape = (2, 4, rows, 21)
    grad, x = (rows_of(shape, seed, device) for seed in range(2))
    A = matrices(x)
    check_moments(backend, layout(x))
    check_affine(backend, layout(x), A, other(torch.empty_like(x)))
    check_affine_gradients(backend, other(grad), layout(x))
    out = layout(torch.empty_like(x))
    check_input_gradient(backend, other(grad), layout(x), A, A, out)


@pytest.mark.parametrize('rows', [1, 3])
def test_writes_nothing_else(backend, device, rows):
    x = rows_of((2, 2, rows, 33), device=device)
    room = torch.zeros(2, 2, rows + 2, 40, device=device)
    check_affine(backend, x, matrices(x), room[:, :, 1:-1, 3:36])
    room[:, :, 1:-1, 3:36] = 0
    assert not room.any()


# ------------------------------------------------------------- precision
@pytest.mark.parametrize('dtype', HALF, ids=str)
@pytest.mark.parametrize('rows', [1, 3])
def test_half_precision_is_widened(backend, device, rows, dtype):
    shape = (2, 2, rows, 33)
    grad, x = (rows_of(shape, seed, device, dtype) for seed in range(2))
    check_moments(backend, x)
    check_affine_gradients(backend, grad, x)


@pytest.mark.parametrize('dtype', HALF, ids=str)
@pytest.mark.parametrize('rows', [1, 3])
def test_half_precision_is_rounded_once(backend, device, rows, dtype):
    shape = (2, 2, rows, 33)
    grad, x = (rows_of(shape, seed, device, dtype) for seed in range(2))
    A, once = matrices(x), torch.finfo(dtype).eps
    check_affine(backend, x, A, torch.empty_like(x), once)
    out = torch.empty_like(x)
    check_input_gradient(backend, grad, x, A, A, out, once)


@pytest.mark.parametrize('rows', [1, 4])
def test_mean_of_a_thousand_deviations(backend, device, rows):
    """Float32 squares would keep no digit of the covariance."""
    x = rows_of((2, 1, rows, 5000), device=device)
    x = x - x.mean(-1, keepdim=True) + 1000
    _, expected = moments_of(x)
    torch.testing.assert_close(
        backend.moments(x).cov.double(), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize('rows', [1, 3])
def test_a_drift_over_the_elements(backend, device, rows):
    """Means of parts differ by far more than what the parts hold."""
    x = rows_of((1, 2, rows, 300), device=device)
    x = x + torch.arange(300, device=device) * 10.0
    check_moments(backend, x, tolerance=1e-5)


@pytest.mark.parametrize('rows', [1, 3])
def test_constant_rows_have_no_variance(backend, device, rows):
    x = torch.full((1, 2, rows, 100), 3.7, device=device)
    mean, cov = backend.moments(x)
    assert_near(mean, torch.full_like(mean, 3.7).double(), 1e-6)
    assert cov.abs().max() < 1e-9


@pytest.mark.parametrize('rows', [1, 3])
def test_repeats_to_the_bit(backend, device, rows):
    grad, x = (rows_of((2, 1, rows, 300), seed, device) for seed in range(2))
    for first, second in zip(backend.moments(x), backend.moments(x)):
        assert torch.equal(first, second)
    for first, second in zip(
        backend.affine_gradients(grad, x), backend.affine_gradients(grad, x)
    ):
        assert torch.equal(first, second)


@pytest.mark.parametrize('rows', [1, 4])
def test_nan_stays_in_its_entry(backend, device, rows):
    x = rows_of((2, 3, rows, 100), device=device)
    x[0, 1, 0, 50] = torch.nan
    mean, cov = backend.moments(x)
    dA, db = backend.affine_gradients(x, x)
    y, A = torch.empty_like(x), matrices(x)
    backend.affine(x, A, A[..., 0], y)
    for value in (mean, cov, dA, db, y):
        touched = value.flatten(2).isnan().any(-1)
        assert touched.nonzero().tolist() == [[0, 1]]
    assert y[0, 1, :, 50].isnan().all() and y.isnan().sum() == rows
