"""The compiled passes give what PyTorch gives in float64."""

import pytest
import torch

from whiten_plugins.ops import blocks
from whiten_plugins.ops.native import passes

# (N, E, c, M): one row and many, edges of tiles, blocks and registers,
# entries that are cut into parts, and more rows than a tile is high.
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


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_any_number_of_threads(threads):
    before = torch.get_num_threads()
    x = torch.randn(1, 1, 4, 1 << 17)
    torch.set_num_threads(threads)
    try:
        actual = passes.moments(x)
    finally:
        torch.set_num_threads(before)
    assert_close(actual.cov, blocks.moments(x.double()).cov)


@pytest.mark.parametrize('kind', ['channels_last', 'bfloat16'])
def test_pytorch_takes_what_the_kernels_do_not(kind, monkeypatch):
    x = torch.randn(2, 1, 4, 6)
    if kind == 'channels_last':
        x = x.mT.contiguous().mT
    else:
        x = x.bfloat16()
    called = []
    monkeypatch.setattr(blocks, 'moments', called.append)
    passes.moments(x)
    assert called[0] is x
