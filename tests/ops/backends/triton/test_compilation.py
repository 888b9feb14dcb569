"""Every kernel compiles for every chip that counts, and fits its registers.

The interpreter takes what the compiler does not. So whole norms run with all
launches replaced by compilation; their results are of no account.
"""

import pytest
import torch

from tests.norms.cases import Case
from whiten_plugins.ops.backends.selection import triton_refusal

pytestmark = pytest.mark.skipif(
    triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
)

PASSES = {'moments', 'affine', 'gradients'}
ALL = PASSES | {'merge', 'forward', 'backward', 'combine'}

# Inputs large enough that reductions are cut into chunks.
NORMS = {
    'SN': (Case('SN'), (2, 8, 128, 160), ALL),
    'SW 2': (Case('SW'), (2, 32, 40, 64), ALL),
    'SW 5': (
        Case('SW', dict(sw_type=5)),
        (2, 32, 40, 64),
        ALL,
    ),
    'ItN': (Case('ItN', dict(num_pergroup=32)), (4, 32, 40, 64), ALL),
    'GW': (Case('GW'), (2, 128, 40, 64), ALL),
    'IW': (
        Case('IW', dict(num_pergroup=128)),
        (1, 128, 40, 64),
        PASSES | {'merge'},
    ),
}


ARCHITECTURES = [75, 80, 86, 90, 100, 120]
SPILLED = 64
"""Bytes of a thread that the stage may keep in memory; the passes none."""


def check(name, dtype, memory_format, architecture):
    from benchmarks.gpu_kernels import compile_step, usage

    case, shape, kernels = NORMS[name]
    x = torch.zeros(shape, dtype=dtype).to(memory_format=memory_format)
    launches = compile_step(case.norm, x, architecture)
    names = {
        launch.kernel: launch.kernel.split('_')[-1] for launch in launches
    }
    assert set(names.values()) == kernels
    for launch in launches:
        found = usage(launch.compiled)
        most = 0 if names[launch.kernel] in PASSES else SPILLED
        assert found.spilled <= most, f'{launch.kernel} spills'
        assert found.shared <= 48 << 10
        code = launch.compiled.asm['ptx']
        assert 'tf32' not in code
        if names[launch.kernel] in PASSES and name in ('SW 2', 'GW'):
            assert ('mma' in code) == (dtype != torch.float32)


def test_compiles():
    check('SW 5', torch.bfloat16, torch.contiguous_format, 90)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last], ids=str
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('name', NORMS)
@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_all_compile(architecture, name, dtype, memory_format):
    if architecture == 75 and dtype == torch.bfloat16:
        pytest.skip('no bfloat16 in its tensor cores')
    check(name, dtype, memory_format, architecture)


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
def test_sizes_of_one_compile(case, shape):
    """Where rows, entries or elements are one."""
    from benchmarks.gpu_kernels import compile_step

    assert compile_step(case.norm, torch.zeros(shape), 90)
