"""What only the GPU kernels have: chunks, and what they hand on."""

import pytest
import torch

from tests.ops.backends import test_activations as contract
from tests.ops.backends.inputs import rows_of
from tests.ops.backends.test_transform import CASES

SHAPES = [(1, 2, 1, 300), (2, 1, 3, 300), (1, 1, 20, 530)]
test_a_drift_over_the_chunks = pytest.mark.usefixtures('many_chunks')(
    contract.test_a_drift_over_the_elements
)
test_chunks_repeat_to_the_bit = pytest.mark.usefixtures('many_chunks')(
    contract.test_repeats_to_the_bit
)


@pytest.fixture(params=['triton'])
def backend(request):
    from whiten_plugins.ops.backends.triton import BACKEND

    return BACKEND


@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_chunks_merge_exactly(backend, device, shape, many_chunks):
    grad, x = (rows_of(shape, seed, device) for seed in range(2))
    contract.check_moments(backend, x)
    contract.check_affine_gradients(backend, grad, x)


@pytest.mark.parametrize('rows', [1, 3])
def test_mean_of_a_thousand_deviations(backend, device, rows, many_chunks):
    x = rows_of((1, 2, rows, 300), device=device)
    x = x - x.mean(-1, keepdim=True) + 1000
    contract.check_moments(backend, x, tolerance=1e-3)


@pytest.mark.parametrize('rows', [1, 3])
def test_constant_chunks_have_no_variance(backend, device, rows, many_chunks):
    x = torch.full((1, 2, rows, 100), 3.7, device=device)
    assert backend.moments(x).cov.abs().max() < 1e-9


HANDED_ON = {
    'BW zca',
    'BW pca',
    'SW 5 zca',
    'IW of 65 rows',
    'GW of many slots',
    'GW of one row',
}


@pytest.mark.parametrize('name', CASES)
def test_pytorch_takes_what_the_kernels_do_not(name):
    from whiten_plugins.ops.backends.triton.transform import serves

    assert serves(CASES[name].stage) == (name not in HANDED_ON)


def test_groups_of_too_many_rows_are_pytorchs(backend, device, monkeypatch):
    from whiten_plugins.ops.backends.triton import activations

    def no_launch(*args, **kwargs):
        raise AssertionError('a kernel was launched')

    monkeypatch.setattr(activations, 'launch', no_launch)
    x = rows_of((1, 1, 130, 7), device=device)
    contract.check_moments(backend, x)
