"""The one place that chooses between PyTorch, C++ and Triton."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from whiten_plugins.ops.backends import selection
from whiten_plugins.ops.backends.native import BACKEND as NATIVE
from whiten_plugins.ops.backends.selection import (
    PYTORCH,
    VARIABLE,
    backend_for,
)

needs_triton = pytest.mark.skipif(
    not selection.triton_serves(), reason='needs Triton 3 or newer'
)


def tensor(is_cuda=False, dtype=torch.float32, numel=8):
    """As much of a tensor as the choice looks at, on a GPU or not."""
    device = torch.device('cuda' if is_cuda else 'cpu')
    return SimpleNamespace(
        is_cuda=is_cuda, dtype=dtype, device=device, numel=lambda: numel
    )


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv('TRITON_INTERPRET', raising=False)


@pytest.fixture
def installed(monkeypatch):
    """Sets the version of Triton that is found; None for none."""

    def install(version):
        monkeypatch.setattr(selection, 'triton_version', lambda: version)

    return install


@pytest.fixture
def force(monkeypatch):
    return lambda choice: monkeypatch.setenv(VARIABLE, choice)


@pytest.fixture
def compiled(monkeypatch):
    """Sets why the C++ kernels fail; None for no failure."""

    def set_failure(failure):
        monkeypatch.setattr(selection, 'native_failure', lambda: failure)
        selection._native_serves.cache_clear()

    yield set_failure
    selection._native_serves.cache_clear()


@pytest.mark.parametrize('choice', [None, '', 'auto', 'native'])
def test_native_kernels_serve_the_cpu(choice, force, compiled):
    compiled(None)
    if choice is not None:
        force(choice)
    assert backend_for(torch.ones(8)) is NATIVE


def test_pytorch_serves_a_cpu_without_a_compiler(compiled):
    compiled('no C++ compiler found')
    with pytest.warns(UserWarning, match='no C.. compiler found') as caught:
        assert backend_for(torch.ones(8)) is PYTORCH
        assert backend_for(torch.ones(8)) is PYTORCH
    assert len(caught) == 1


def test_forced_native_without_a_compiler(force, compiled):
    force('native')
    compiled('no C++ compiler found')
    with pytest.raises(RuntimeError, match='no C.. compiler found.*=torch'):
        backend_for(torch.ones(8))


def test_forced_native_on_a_gpu(force):
    force('native')
    with pytest.raises(RuntimeError, match='tensor on cuda.*=triton'):
        backend_for(tensor(is_cuda=True))


def test_pytorch_is_forced_on_the_cpu(force, compiled):
    force('torch')
    compiled('must not be asked')
    assert backend_for(torch.ones(8)) is PYTORCH


@needs_triton
@pytest.mark.parametrize('choice', ['auto', 'triton'])
def test_triton_serves_gpus(choice, force):
    force(choice)
    assert backend_for(tensor(is_cuda=True)) is not PYTORCH


def test_pytorch_is_forced_on_gpus(force):
    force('torch')
    assert backend_for(tensor(is_cuda=True)) is PYTORCH


@pytest.mark.parametrize('version', [None, '2.1.0'])
def test_pytorch_serves_gpus_without_a_triton_of_today(version, installed):
    installed(version)
    assert backend_for(tensor(is_cuda=True)) is PYTORCH


@pytest.mark.parametrize('choice', ['auto', 'native', 'triton'])
@pytest.mark.parametrize(
    'special', [dict(dtype=torch.float64), dict(numel=0)], ids=str
)
def test_float64_and_empty_are_pytorchs(special, choice, force):
    force(choice)
    assert backend_for(tensor(is_cuda=True, **special)) is PYTORCH


@pytest.mark.parametrize('version', [None, '2.1.0'])
def test_forced_triton_that_is_missing(version, force, installed):
    force('triton')
    installed(version)
    with pytest.raises(RuntimeError, match='needs Triton 3.*found') as error:
        backend_for(tensor(is_cuda=True))
    assert str(version).lower() in str(error.value)


def test_forced_triton_on_the_cpu(force, installed):
    force('triton')
    installed('3.0.0')
    with pytest.raises(RuntimeError, match='tensor on cpu.*TRITON_INTERPRET'):
        backend_for(torch.ones(8))


@needs_triton
def test_forced_triton_in_the_interpreter(force, monkeypatch):
    force('triton')
    monkeypatch.setenv('TRITON_INTERPRET', '1')
    assert backend_for(torch.ones(8)) is not PYTORCH


def test_unknown_choice(force):
    force('cuda')
    with pytest.raises(ValueError, match="torch, native, triton; got 'cuda'"):
        backend_for(torch.ones(8))


@pytest.mark.parametrize(
    'module',
    [
        'torch._dynamo',
        'triton',
        'whiten_plugins.ops.backends.native',
        'whiten_plugins.ops.backends.triton',
    ],
)
def test_import_loads_neither_compiler_nor_kernels(module):
    code = (
        'import sys, whiten_plugins.norms, whiten_plugins.ops;'
        f'sys.exit({module!r} in sys.modules)'
    )
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_description_names_what_serves_and_why(force, compiled):
    compiled('no C++ compiler found')
    (cpu, *_) = selection.describe_backends()
    assert cpu == ('cpu', 'torch', 'no C++ kernels: no C++ compiler found')
    force('native')
    (cpu, *_) = selection.describe_backends()
    assert cpu[:2] == ('cpu', 'none') and 'no C++ compiler' in cpu.reason
    force('torch')
    (cpu, *_) = selection.describe_backends()
    assert cpu == ('cpu', 'torch', 'WHITEN_PLUGINS_BACKEND=torch')
