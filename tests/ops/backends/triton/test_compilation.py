"""Every kernel compiles for Hopper, without a GPU, and fits its registers.

The interpreter takes what the compiler does not. So whole norms run with all
launches replaced by compilation; their results are of no account.
"""

import re
import subprocess
from pathlib import Path

import pytest
import torch

from tests.norms.cases import Case
from whiten_plugins.ops.backends.selection import triton_refusal

pytestmark = pytest.mark.skipif(
    triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
)

SCALAR = {
    'scalar_moments',
    'merge',
    'scalar_forward',
    'scalar_affine',
    'scalar_gradients',
    'scalar_backward',
}
PASSES = {'matrix_moments', 'merge', 'matrix_affine', 'matrix_gradients'}
MATRIX = PASSES | {'matrix_forward', 'matrix_backward'}

# Inputs large enough that reductions are cut into chunks.
NORMS = {
    'SN': (Case('SN'), (2, 8, 128, 160), SCALAR),
    'SW 2': (Case('SW'), (2, 32, 40, 64), MATRIX),
    'SW 5': (
        Case('SW', dict(sw_type=5)),
        (2, 32, 40, 64),
        MATRIX | {'add_layer_gradients'},
    ),
    'ItN': (Case('ItN', dict(num_pergroup=32)), (4, 32, 40, 64), MATRIX),
    'GW': (Case('GW'), (2, 128, 40, 64), MATRIX),
    'IW': (Case('IW', dict(num_pergroup=128)), (1, 128, 40, 64), PASSES),
}


class Hopper:
    """As much of Triton's driver as compiling for an H100 takes."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget('cuda', 90, 32)

    def get_current_device(self):
        return 'none'  # a cache of compiled kernels of its own

    def get_current_stream(self, device):
        return 0


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """Replaces launches by compilation; the kernels compiled so far."""
    from triton.runtime.driver import driver
    from triton.runtime.jit import JITFunction

    from whiten_plugins.ops import normalize
    from whiten_plugins.ops.backends.triton import KERNELS, tuning

    kernels = {}
    run = JITFunction.run

    def compile_only(self, *args, grid, warmup, **kwargs):
        kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        kernels.setdefault(self.__name__, []).append(kernel)

    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    monkeypatch.setattr(driver, '_active', Hopper())
    monkeypatch.setattr(JITFunction, 'run', compile_only)
    monkeypatch.setattr(tuning, '_processors', lambda device: 132)
    monkeypatch.setattr(normalize, 'backend_for', lambda x, spec: KERNELS)
    return kernels


def spilled(kernel, path):
    """Bytes of a thread's registers that went to memory."""
    import triton

    tools = Path(triton.__file__).parent / 'backends' / 'nvidia' / 'bin'
    path.write_bytes(kernel.asm['cubin'])
    usage = subprocess.run(
        [tools / 'cuobjdump', '-res-usage', path],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(re.search(r'STACK:(\d+)', usage.stdout).group(1))


def check(name, dtype, memory_format, compiled, tmp_path):
    case, shape, kernels = NORMS[name]
    x = torch.zeros(shape, dtype=dtype).to(memory_format=memory_format)
    case.norm(shape[1])(x.requires_grad_()).sum().backward()
    assert set(compiled) == kernels
    for kernel_name, variants in compiled.items():
        for kernel in variants:
            size = spilled(kernel, tmp_path / 'kernel.cubin')
            assert size <= 64, f'{kernel_name} spills {size} bytes'


def test_compiles(compiled, tmp_path):
    memory_format = torch.contiguous_format
    check('SW 5', torch.bfloat16, memory_format, compiled, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last], ids=str
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('name', NORMS)
def test_all_compile(name, dtype, memory_format, compiled, tmp_path):
    check(name, dtype, memory_format, compiled, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    'case, shape',
    [
        (Case('SN'), (1, 1, 1, 2)),
        (Case('SN'), (2, 1, 1, 1)),
        (Case('SW', dict(sw_type=5)), (2, 16, 1, 1)),
        (Case('SW', dict(sw_type=5, hard=True, T=1)), (1, 3, 7)),
        (Case('GW', dict(num_groups=2)), (1, 2, 7)),
    ],
    ids=str,
)
def test_sizes_of_one_compile(case, shape, compiled):
    """Triton makes a constant of every 1 that it is given."""
    x = torch.zeros(shape, requires_grad=True)
    case.norm(shape[1])(x).sum().backward()
    assert compiled
