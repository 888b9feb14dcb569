"""y = A x + b and dx = A^T g + B x + d, as the PyTorch path."""

import pytest
import torch

from whiten_plugins.ops.backends.torch import activations as blocks
from whiten_plugins.ops.backends.triton.kernels.affine import (
    affine,
    input_gradient,
)

from .inputs import LAYOUTS, SHAPES, assert_near, matrices, rows_of


def double(*tensors):
    return [v if v is None else v.double() for v in tensors]


def check_affine(x, A, b, out, tolerance=1e-5):
    expected = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    blocks.affine(*double(x, A, b), expected)
    affine(x, A, b, out)
    assert_near(out, expected, tolerance)


def check_input_gradient(g, x, A, B, d, out, tolerance=1e-5):
    expected = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    blocks.input_gradient(*double(g, x, A, B, d), expected)
    input_gradient(g, x, A, B, d, out)
    assert_near(out, expected, tolerance)


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_affine(shape, device):
    x = rows_of(shape, device=device)
    A = matrices(x)
    check_affine(x, A, A[..., 0], torch.empty_like(x))


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_input_gradient(shape, device):
    x, g = (rows_of(shape, seed, device) for seed in range(2))
    A, B = matrices(x), matrices(x, seed=1)
    check_input_gradient(g, x, A, B, B[..., 0], torch.empty_like(x))


@pytest.mark.parametrize('rows', [1, 3])
def test_input_gradient_without_statistics(rows, device):
    x = rows_of((2, 2, rows, 33), device=device)
    A = matrices(x)
    check_input_gradient(x, x, A, None, None, torch.empty_like(x))


@pytest.mark.parametrize(
    'shared', ['samples', 'entries', 'samples and entries']
)
@pytest.mark.parametrize('rows', [1, 3])
def test_shared_coefficients(rows, shared, device):
    """Of the batch (no samples' own), of GW's slots (no entries' own)."""
    x, g = (rows_of((2, 3, rows, 33), seed, device) for seed in range(2))
    A, B = matrices(x), matrices(x, shared, seed=1)
    check_affine(x, B, B[..., 0], torch.empty_like(x))
    check_input_gradient(g, x, A, B, B[..., 0], torch.empty_like(x))
    check_input_gradient(g, x, B, A, A[..., 0], torch.empty_like(x))


@pytest.mark.parametrize('layout_of_out', LAYOUTS)
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('rows', [1, 3])
def test_any_strides(rows, layout, layout_of_out, device):
    x, g = (rows_of((2, 4, rows, 21), seed, device) for seed in range(2))
    A = matrices(x)
    out = layout_of_out(torch.empty_like(x))
    check_affine(layout(x), A, A[..., 0], out)
    out = layout(torch.empty_like(x))
    check_input_gradient(layout_of_out(g), layout(x), A, A, A[..., 0], out)


@pytest.mark.parametrize('rows', [1, 3])
def test_writes_nothing_else(rows, device):
    x = rows_of((2, 2, rows, 33), device=device)
    room = torch.zeros(2, 2, rows + 2, 40, device=device)
    A = matrices(x)
    check_affine(x, A, A[..., 0], room[:, :, 1:-1, 3:36])
    room[:, :, 1:-1, 3:36] = 0
    assert not room.any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('rows', [1, 3])
def test_half_precision_is_rounded_once(rows, dtype, device):
    x, g = (rows_of((2, 2, rows, 33), s, device, dtype) for s in range(2))
    A = matrices(x)
    once = torch.finfo(dtype).eps
    check_affine(x, A, A[..., 0], torch.empty_like(x), once)
    check_input_gradient(g, x, A, A, A[..., 0], torch.empty_like(x), once)
