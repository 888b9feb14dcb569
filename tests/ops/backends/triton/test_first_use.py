"""Kernels that are wrong or cannot be compiled never serve, nor end a
training."""

import warnings

import pytest
import torch

from tests.norms.cases import Case, random_input
from whiten_plugins.ops import NormSpec
from whiten_plugins.ops.backends import selection
from whiten_plugins.ops.backends.settings import VARIABLE
from whiten_plugins.ops.backends.torch import BACKEND as PYTORCH
from whiten_plugins.ops.backends.triton import (
    BACKEND,
    KERNELS,
    activations,
    first_use,
    tuning,
)

SPECS = {
    'SN': NormSpec(('in', 'ln', 'bn'), 1),
    'SW 5': NormSpec(('bw', 'iw', 'bn', 'in', 'ln'), 3),
    'GW': NormSpec(('iw',), 2, across_groups=True),
    'ItN': NormSpec(('bw',), 3),
}
SW = NormSpec(('bw', 'iw'), 3)
CPU = torch.device('cpu')
WRONG = 'moments differs from PyTorch by'
UNCOMPILABLE = 'the kernel matrix_affine failed: OSError: no libcuda'


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    for cached in (first_use.outcome, selection.checked):
        cached.cache_clear()
    yield
    for cached in (first_use.outcome, selection.checked):
        cached.cache_clear()


@pytest.fixture
def wrong(monkeypatch):
    """Sums that lose all but the first chunk."""

    def small(rows):
        return tuning.Tile(16, 16, 1)

    def lost(size, programs, tile, x):
        return 1, 1

    monkeypatch.setattr(activations, 'gram_tile', small)
    monkeypatch.setattr(activations, 'chunks', lost)


@pytest.fixture
def uncompilable(monkeypatch):
    class Kernel:
        __name__ = 'matrix_affine'

        def __getitem__(self, grid):
            raise OSError('compiling with gcc:\nno libcuda')

    monkeypatch.setattr(activations, 'matrix_affine', Kernel())


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('spec', SPECS.values(), ids=SPECS)
def test_sound_kernels_pass(spec, dtype):
    found = first_use.outcome(KERNELS, spec, dtype, CPU)
    assert found.failure == '' and 0 < found.difference < 2e-2


def test_outcome_is_kept_for_later_processes(monkeypatch, tmp_path):
    first = first_use.outcome(KERNELS, SW, torch.float32, CPU)
    first_use.outcome.cache_clear()
    monkeypatch.setattr(first_use, 'check', None)
    assert first_use.outcome(KERNELS, SW, torch.float32, CPU) == first
    (file,) = (tmp_path / 'whiten_plugins' / 'checks').iterdir()
    assert file.suffix == '.json'


def test_failure_is_not_kept(uncompilable, tmp_path):
    assert first_use.outcome(KERNELS, SW, torch.float32, CPU).failure
    assert not list(tmp_path.rglob('*.json'))


def test_no_place_to_keep_the_outcome(monkeypatch, tmp_path):
    (tmp_path / 'whiten_plugins').write_text('a file')
    assert not first_use.outcome(KERNELS, SW, torch.float32, CPU).failure


PLANTED = [('wrong', WRONG), ('uncompilable', UNCOMPILABLE)]


@pytest.mark.parametrize('planted, message', PLANTED)
def test_pytorch_takes_over_from_kernels_that_fail(planted, message, request):
    request.getfixturevalue(planted)
    with pytest.warns(UserWarning) as caught:
        for _ in range(2):
            found = selection.checked(SW, torch.float32, CPU, forced=False)
            assert found is PYTORCH
    (warning,) = caught
    for part in (message, 'interpreter', torch.__version__, 'report this'):
        assert part in str(warning.message)


@pytest.mark.parametrize('planted, message', PLANTED)
def test_forced_kernels_that_fail_are_an_error(planted, message, request):
    request.getfixturevalue(planted)
    with pytest.raises(RuntimeError, match=message):
        selection.checked(SW, torch.float32, CPU, forced=True)


def test_sound_kernels_serve():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        found = selection.checked(SW, torch.float32, CPU, forced=False)
    assert found is BACKEND


def test_kernel_that_fails_later_is_pytorchs_work(uncompilable):
    """As one that asks for more shared memory at a width not checked."""
    from whiten_plugins.ops.backends.triton.fallback import or_pytorch

    affine = or_pytorch(activations.affine)
    x = random_input((2, 6, 10)).float().view(2, 2, 3, 10)
    A, b = torch.randn(2, 2, 3, 3), torch.randn(2, 2, 3)
    y, expected = torch.empty_like(x), torch.empty_like(x)
    PYTORCH.affine(x, A, b, expected)
    with pytest.warns(UserWarning, match=UNCOMPILABLE) as caught:
        affine(x, A, b, y)
        affine(x, A, b, y)
    assert len(caught) == 1 and torch.equal(y, expected)


def test_forced_kernel_that_fails_later_is_an_error(uncompilable, monkeypatch):
    monkeypatch.setenv(VARIABLE, 'triton')
    norm = Case('SW', dict(num_pergroup=4)).norm(8)
    with pytest.raises(RuntimeError, match=UNCOMPILABLE):
        norm(torch.randn(2, 8, 3, 5))
