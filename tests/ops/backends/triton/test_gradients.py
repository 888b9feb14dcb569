"""Gradients of A and b, as the PyTorch path."""

import pytest
import torch

from whiten_plugins.ops.backends.torch import activations as blocks
from whiten_plugins.ops.backends.triton.kernels.gradients import (
    affine_gradients,
)

from .inputs import LAYOUTS, SHAPES, assert_near, rows_of


def check(g, x):
    actual = affine_gradients(g, x)
    expected = blocks.affine_gradients(g.double(), x.double())
    for one, other in zip(actual, expected):
        assert one.shape == other.shape
        assert_near(one, other)


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_affine_gradients(shape, device):
    check(*(rows_of(shape, seed, device) for seed in range(2)))


@pytest.mark.parametrize('layout_of_x', LAYOUTS)
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('rows', [1, 3])
def test_any_strides(rows, layout, layout_of_x, device):
    g, x = (rows_of((2, 4, rows, 21), seed, device) for seed in range(2))
    check(layout(g), layout_of_x(x))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('rows', [1, 3])
def test_half_precision_is_widened(rows, dtype, device):
    shape = (2, 2, rows, 33)
    check(*(rows_of(shape, seed, device, dtype) for seed in range(2)))


@pytest.mark.parametrize(
    'shape', [(1, 2, 1, 300), (2, 1, 3, 300), (1, 1, 20, 530)], ids=str
)
def test_chunks(shape, device, many_chunks):
    g, x = (rows_of(shape, seed, device) for seed in range(2))
    check(g, x)
    for first, second in zip(affine_gradients(g, x), affine_gradients(g, x)):
        assert torch.equal(first, second)
