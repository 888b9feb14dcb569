"""The contract of Triton's kernels, on the CPU in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from whiten_plugins.ops.backends.selection import triton_refusal

BACKENDS = Path(__file__).parents[1]
ROOT = BACKENDS.parents[2]


@pytest.mark.timeout(900)
@pytest.mark.skipif(
    triton_refusal(torch.device('cpu')) is not None,
    reason='needs Triton 3.3 or newer',
)
@pytest.mark.skipif(
    torch.cuda.is_available(), reason='the kernels are tested on the GPU'
)
def test_kernels_in_the_interpreter():
    environment = {**os.environ, 'TRITON_INTERPRET': '1'}
    result = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', str(BACKENDS)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    print(result.stdout[-5000:], result.stderr[-5000:])
    assert result.returncode == 0
