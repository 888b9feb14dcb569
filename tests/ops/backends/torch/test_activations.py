"""However a pass is cut into blocks, it is the same sum."""

import pytest
import torch

from whiten_plugins.ops.backends.torch import activations as blocks
from whiten_plugins.ops.layout import affine_view, statistics_view
from whiten_plugins.ops.spec import NormSpec

SPECS = {
    'one channel': NormSpec(('in',), num_rows=1),
    'channels': NormSpec(('iw',), num_rows=4),
    'groups': NormSpec(('iw',), num_rows=4, across_groups=True),
}
LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.fixture(params=[1, 40, 1000], ids=lambda n: f'{n} elements')
def block_elements(request, monkeypatch):
    monkeypatch.setattr(blocks, '_BLOCK_ELEMENTS', request.param)


@pytest.fixture(params=SPECS.values(), ids=SPECS)
def spec(request):
    return request.param


@pytest.fixture(params=LAYOUTS, ids=str)
def x(request):
    x = 3 + torch.randn(3, 8, 5, 7, dtype=torch.float64)
    return x.contiguous(memory_format=request.param)


def coefficients(view):
    shape = (*view.shape[:2], view.shape[2])
    A = torch.randn(*shape, view.shape[2], dtype=view.dtype)
    return A, torch.randn(shape, dtype=view.dtype)


def test_moments(block_elements, spec, x):
    view = statistics_view(x, spec)
    mean, cov = blocks.moments(view)
    centred = view - view.mean(-1, keepdim=True)
    torch.testing.assert_close(mean, view.mean(-1))
    torch.testing.assert_close(cov, centred @ centred.mT / view.shape[-1])


def test_affine(block_elements, spec, x):
    view, y = affine_view(x, spec), torch.empty_like(x)
    A, b = coefficients(view)
    blocks.affine(view, A, b, affine_view(y, spec))
    torch.testing.assert_close(
        affine_view(y, spec), A @ view + b.unsqueeze(-1)
    )


def test_affine_gradients(block_elements, spec, x):
    view = affine_view(x, spec)
    grad = torch.randn_like(view)
    dA, db = blocks.affine_gradients(grad, view)
    torch.testing.assert_close(dA, grad @ view.mT)
    torch.testing.assert_close(db, grad.sum(-1))


@pytest.mark.parametrize('through_moments', [False, True])
def test_input_gradient(block_elements, spec, x, through_moments):
    view, dx = affine_view(x, spec), torch.empty_like(x)
    grad = torch.randn_like(view)
    A, _ = coefficients(view)
    expected = A.mT @ grad
    B = d = None
    if through_moments:
        B, d = coefficients(view)
        expected = expected + B @ view + d.unsqueeze(-1)
    blocks.input_gradient(grad, view, A, B, d, affine_view(dx, spec))
    torch.testing.assert_close(affine_view(dx, spec), expected)


def test_coefficients_of_the_whole_batch_serve_every_sample(spec, x):
    view, y = affine_view(x, spec), torch.empty_like(x)
    A, b = coefficients(view[:1])
    blocks.affine(view, A, b, affine_view(y, spec))
    torch.testing.assert_close(
        affine_view(y, spec), A @ view + b.unsqueeze(-1)
    )


def test_moments_of_the_batch(block_elements, spec, x):
    view = statistics_view(x, spec)
    mean, cov = blocks.moments(view, shared=True)
    rows = view.permute(1, 2, 0, 3).flatten(2).unsqueeze(0)
    centred = rows - rows.mean(-1, keepdim=True)
    torch.testing.assert_close(mean, rows.mean(-1))
    torch.testing.assert_close(cov, centred @ centred.mT / rows.shape[-1])


def test_affine_gradients_of_shared_coefficients(block_elements, spec, x):
    view = affine_view(x, spec)
    grad = torch.randn_like(view)
    dA, db = blocks.affine_gradients(grad, view, shared=True)
    torch.testing.assert_close(dA, (grad @ view.mT).sum(0, keepdim=True))
    torch.testing.assert_close(db, grad.sum(-1).sum(0, keepdim=True))


def test_digits_survive_a_far_mean_in_every_block(block_elements):
    x = 1000 + torch.randn(2, 1, 4, 50, dtype=torch.float64)
    for shared in (False, True):
        _, cov = blocks.moments(x.float(), shared)
        expected = blocks.moments(x.float().double(), shared).cov
        torch.testing.assert_close(
            cov.double(), expected, rtol=1e-4, atol=1e-4
        )


def test_half_precision_is_summed_in_float32(block_elements):
    x = torch.full((1, 1, 1, 4096), 1 / 3).bfloat16()
    mean, _ = blocks.moments(x)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean.item(), x[0, 0, 0, 0].item())


def test_no_elements_give_zeros():
    for shared in (False, True):
        mean, cov = blocks.moments(torch.empty(2, 1, 3, 0), shared)
        assert not mean.any() and not cov.any()
        dA, db = blocks.affine_gradients(*torch.empty(2, 2, 1, 3, 0), shared)
        assert not dA.any() and not db.any()
