"""The compiled passes give what PyTorch gives in float64."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch._subclasses import FakeTensorMode

from whiten_plugins.ops.backends.native import activations as passes
from whiten_plugins.ops.backends.torch import activations as blocks

# (N, E, c, M): one row and many, edges of tiles, blocks and registers, and
# more rows than a tile is high.
SHAPES = [
    (2, 3, 1, 1),
    (2, 3, 1, 37),
    (16, 8, 1, 3136),
    (2, 5, 3, 31),
    (3, 4, 16, 777),
    (1, 2, 16, 20000),
    (2, 1, 64, 1500),
    (1, 1, 70, 1025),
]


@pytest.fixture(params=SHAPES, ids=str)
def shape(request):
    return request.param


@pytest.fixture(params=[False, True], ids=['rows', 'slots'])
def strided(request):
    """Rows one after the other, or with the slots of a row between them."""
    return request.param


@pytest.fixture
def activations(shape, strided):
    def make(seed):
        generator = torch.Generator().manual_seed(seed)
        x = 3 + torch.randn(shape, generator=generator)
        return x.transpose(1, 2).contiguous().transpose(1, 2) if strided else x

    return make


def coefficients(shape, per_sample=True, per_entry=True):
    samples, entries, rows, _ = shape
    sizes = (samples if per_sample else 1, entries if per_entry else 1, rows)
    return torch.randn(*sizes, rows), torch.randn(sizes)


def assert_close(actual, expected):
    """To float32's rounding of the largest value."""
    scale = expected.abs().max().item()
    torch.testing.assert_close(
        actual.double(), expected, rtol=0, atol=2e-6 * max(scale, 1e-12)
    )


def test_moments(activations):
    x = activations(0)
    actual, expected = passes.moments(x), blocks.moments(x.double())
    assert_close(actual.mean, expected.mean)
    assert_close(actual.cov, expected.cov)


def test_digits_survive_a_far_mean():
    x = 1000 + torch.randn(2, 1, 4, 5000)
    expected = blocks.moments(x.double()).cov
    torch.testing.assert_close(
        passes.moments(x).cov.double(), expected, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize('per_sample', [True, False])
@pytest.mark.parametrize('per_entry', [True, False])
def test_affine(activations, shape, per_sample, per_entry):
    x = activations(0)
    A, b = coefficients(shape, per_sample, per_entry)
    y, expected = torch.empty_like(x), torch.empty_like(x, dtype=torch.double)
    passes.affine(x, A, b, y)
    blocks.affine(x.double(), A.double(), b.double(), expected)
    assert_close(y, expected)


def test_affine_gradients(activations):
    grad, x = activations(0), activations(1)
    actual = passes.affine_gradients(grad, x)
    expected = blocks.affine_gradients(grad.double(), x.double())
    for value, wanted in zip(actual, expected):
        assert_close(value, wanted)


@pytest.mark.parametrize('through_moments', [True, False])
def test_input_gradient(activations, shape, through_moments):
    grad, x = activations(0), activations(1)
    A, _ = coefficients(shape, per_sample=False)
    B, d = coefficients(shape) if through_moments else (None, None)
    dx, expected = torch.empty_like(x), torch.empty_like(x, dtype=torch.double)
    passes.input_gradient(grad, x, A, B, d, dx)
    wide = [v if v is None else v.double() for v in (grad, x, A, B, d)]
    blocks.input_gradient(*wide, expected)
    assert_close(dx, expected)


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_any_number_of_threads(threads, set_threads):
    """Few entries are cut into parts, the last one shorter than others."""
    set_threads(threads)
    shape = (1, 2, 5, 20011)
    x, grad = 3 + torch.randn(shape), torch.randn(shape)
    A, b = coefficients(shape)
    y, dx = torch.empty_like(x), torch.empty_like(x)
    passes.affine(x, A, b, y)
    passes.input_gradient(grad, x, A, A, b, dx)
    actual = *passes.moments(x), *passes.affine_gradients(grad, x), y, dx
    x, grad, A, b = (v.double() for v in (x, grad, A, b.unsqueeze(-1)))
    expected = *blocks.moments(x), *blocks.affine_gradients(grad, x)
    expected += A @ x + b, A.mT @ grad + A @ x + b
    for value, wanted in zip(actual, expected):
        assert_close(value, wanted)


def test_two_callers_at_once(set_threads):
    set_threads(2)
    inputs = [k + torch.randn(2, 4, 8, 5000) for k in range(8)]
    expected = [passes.moments(x) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        for actual, wanted in zip(pool.map(passes.moments, inputs), expected):
            torch.testing.assert_close(actual, wanted)


def test_nan_stays_in_its_entry():
    x = torch.randn(2, 3, 4, 100)
    x[0, 1, 2, 50] = torch.nan
    mean, cov = passes.moments(x)
    dA, db = passes.affine_gradients(x, x)
    y = torch.empty_like(x)
    passes.affine(x, *coefficients(x.shape), y)
    for value in (mean, cov, dA, db, y):
        touched = value.flatten(2).isnan().any(-1)
        assert touched.nonzero().tolist() == [[0, 1]]
    assert y[0, 1, :, 50].isnan().all() and y.isnan().sum() == 4


@pytest.mark.parametrize(
    'changed',
    [
        lambda x: x.mT.contiguous().mT,
        torch.Tensor.bfloat16,
        torch._neg_view,
        FakeTensorMode().from_tensor,
    ],
    ids=['channels_last', 'bfloat16', 'negated', 'fake'],
)
def test_pytorch_takes_what_the_kernels_do_not(changed, monkeypatch):
    x = changed(torch.randn(2, 1, 4, 6))
    called = []
    monkeypatch.setattr(blocks, 'moments', called.append)
    passes.moments(x)
    assert called[0] is x
