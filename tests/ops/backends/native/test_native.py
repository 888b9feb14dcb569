"""What only the compiled kernels have: threads, and what they hand on."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch._subclasses import FakeTensorMode

from tests.norms.cases import Case
from tests.ops.backends.inputs import assert_near
from whiten_plugins.ops import NormSpec, Parameters
from whiten_plugins.ops.backends import torch as pytorch
from whiten_plugins.ops.backends.native import BACKEND, activations, transform
from whiten_plugins.ops.stage import Stage, StageInputs

REFERENCE = pytorch.BACKEND


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_any_number_of_threads(threads, set_threads):
    """Few entries are cut into parts, the last one shorter than others."""
    set_threads(threads)
    x, grad = 3 + torch.randn(1, 2, 5, 20011), torch.randn(1, 2, 5, 20011)
    A, b = torch.randn(1, 2, 5, 5), torch.randn(1, 2, 5)
    y, dx = torch.empty_like(x), torch.empty_like(x)
    BACKEND.affine(x, A, b, y)
    BACKEND.input_gradient(grad, x, A, A, b, dx)
    actual = *BACKEND.moments(x), *BACKEND.affine_gradients(grad, x), y, dx
    x, grad, A, b = (v.double() for v in (x, grad, A, b.unsqueeze(-1)))
    expected = *REFERENCE.moments(x), *REFERENCE.affine_gradients(grad, x)
    expected += A @ x + b, A.mT @ grad + A @ x + b
    for value, wanted in zip(actual, expected):
        assert_near(value, wanted, 2e-6)


def test_two_callers_at_once(set_threads):
    set_threads(2)
    inputs = [k + torch.randn(2, 4, 8, 5000) for k in range(8)]
    expected = [BACKEND.moments(x) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        for actual, wanted in zip(pool.map(BACKEND.moments, inputs), expected):
            torch.testing.assert_close(actual, wanted)


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
    monkeypatch.setattr(
        activations.pytorch, 'moments', lambda x, *_: called.append(x)
    )
    BACKEND.moments(x)
    assert called[0] is x


@pytest.mark.parametrize('left', ['weight', 'running_mean'])
def test_norm_left_on_another_device(left):
    norm = Case('SW', dict(num_pergroup=8)).norm(32).eval()
    values = getattr(norm, left).to('meta')
    if left == 'weight':
        values = torch.nn.Parameter(values)
    setattr(norm, left, values)
    with pytest.raises(RuntimeError, match='meta'):
        norm(torch.randn(2, 32, 4, 4))


@pytest.mark.parametrize('whitening', ['zca', 'pca'])
def test_eigenvectors_are_pytorchs(whitening, monkeypatch):
    called = []
    monkeypatch.setattr(
        transform.pytorch, 'transform', lambda *_: called.append(True)
    )
    spec = NormSpec(('iw',), 8, whitening=whitening)
    parameters = Parameters(None, None, None, None)
    stage = Stage.of(spec, spec.stats, 2, 8, parameters)
    sample = BACKEND.moments(torch.randn(2, 1, 8, 50))
    BACKEND.transform(stage, StageInputs(sample, None, parameters))
    assert called
