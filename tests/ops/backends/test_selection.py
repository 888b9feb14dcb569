"""The one place that chooses between PyTorch, C++ and Triton."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from whiten_plugins.ops import NormSpec
from whiten_plugins.ops.backends import selection
from whiten_plugins.ops.backends.native import BACKEND as NATIVE
from whiten_plugins.ops.backends.selection import backend_for
from whiten_plugins.ops.backends.settings import VARIABLE
from whiten_plugins.ops.backends.torch import BACKEND as PYTORCH

needs_triton = pytest.mark.skipif(
    selection.triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
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
    selection._native_serves.cache_clear()
    selection._triton_serves.cache_clear()
    yield
    selection._native_serves.cache_clear()
    selection._triton_serves.cache_clear()


@pytest.fixture
def installed(monkeypatch):
    """Sets the version of Triton that is found; None for none."""

    def install(version):
        monkeypatch.setattr(selection, 'triton_version', lambda: version)

    return install


@pytest.fixture
def gpu(monkeypatch):
    """Sets the compute capability of the GPU."""

    def set_capability(major, minor):
        monkeypatch.setattr(
            torch.cuda, 'get_device_capability', lambda device: (major, minor)
        )

    return set_capability


@pytest.fixture
def force(monkeypatch):
    return lambda choice: monkeypatch.setenv(VARIABLE, choice)


@pytest.fixture
def compiled(monkeypatch):
    """Sets why the C++ kernels fail; None for no failure."""

    def set_failure(failure):
        monkeypatch.setattr(selection, 'native_failure', lambda: failure)

    return set_failure


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
def test_triton_serves_gpus(choice, force, gpu):
    force(choice)
    gpu(9, 0)
    assert backend_for(tensor(is_cuda=True)).name == 'triton'


def test_pytorch_is_forced_on_gpus(force):
    force('torch')
    assert backend_for(tensor(is_cuda=True)) is PYTORCH


REFUSED = {
    'none': (None, (9, 0), 'Triton 3.3 or newer is needed, none'),
    'old': ('2.1.0', (9, 0), 'Triton 3.3 or newer is needed, found 2.1.0'),
    'wrong sums': ('3.2.0', (9, 0), 'needed, found 3.2.0'),
    'Turing': ('3.7.1', (7, 5), 'capability 8.0; this GPU has 7.5'),
}


@pytest.mark.parametrize('version, capability, reason', REFUSED.values())
def test_pytorch_serves_gpus_that_are_refused(
    version, capability, reason, installed, gpu
):
    installed(version)
    gpu(*capability)
    with pytest.warns(UserWarning, match=reason) as caught:
        assert backend_for(tensor(is_cuda=True)) is PYTORCH
        assert backend_for(tensor(is_cuda=True)) is PYTORCH
    assert len(caught) == 1


@pytest.mark.parametrize('version, capability, reason', REFUSED.values())
def test_forced_triton_that_is_refused(
    version, capability, reason, installed, gpu, force
):
    force('triton')
    installed(version)
    gpu(*capability)
    with pytest.raises(RuntimeError, match=f'{reason}.*set {VARIABLE}=torch'):
        backend_for(tensor(is_cuda=True))


def test_rocm_is_refused(installed, gpu, monkeypatch):
    installed('3.7.1')
    gpu(9, 4)
    monkeypatch.setattr(torch.version, 'hip', '6.4')
    with pytest.warns(UserWarning, match='not been seen working on ROCm'):
        assert backend_for(tensor(is_cuda=True)) is PYTORCH


@pytest.mark.parametrize('choice', ['auto', 'native', 'triton'])
@pytest.mark.parametrize(
    'special', [dict(dtype=torch.float64), dict(numel=0)], ids=str
)
def test_float64_and_empty_are_pytorchs(special, choice, force):
    force(choice)
    assert backend_for(tensor(is_cuda=True, **special)) is PYTORCH


def test_forced_triton_on_the_cpu(force, installed):
    force('triton')
    installed('3.3.0')
    with pytest.raises(RuntimeError, match='tensor on cpu.*TRITON_INTERPRET'):
        backend_for(torch.ones(8))


@needs_triton
def test_forced_triton_in_the_interpreter(force, monkeypatch):
    force('triton')
    monkeypatch.setenv('TRITON_INTERPRET', '1')
    assert backend_for(torch.ones(8)).name == 'triton'


@needs_triton
@pytest.mark.parametrize('choice', ['auto', 'triton'])
def test_kernels_are_checked_before_they_serve_a_gpu(
    choice, force, gpu, monkeypatch
):
    force(choice)
    gpu(9, 0)
    asked = []
    monkeypatch.setattr(
        torch.cuda, 'is_current_stream_capturing', lambda: False
    )
    monkeypatch.setattr(
        selection, 'checked', lambda *args: asked.append(args) or PYTORCH
    )
    x, spec = tensor(is_cuda=True), NormSpec(('iw',), 4)
    assert backend_for(x, spec) is PYTORCH
    assert asked == [(spec, x.dtype, x.device, choice == 'triton')]


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
